-- A lesson as far as its log has been read. `log` is the id of the log's first event: a lesson
-- whose log began anew is read from the beginning.
CREATE TABLE lessons (
    id TEXT PRIMARY KEY NOT NULL,
    log TEXT NOT NULL,
    last_seq INTEGER NOT NULL,
    phase TEXT NOT NULL,
    session TEXT,
    started_ms INTEGER,
    ended_ms INTEGER,
    recording TEXT,
    info TEXT NOT NULL
) STRICT;

-- Behaviour records, written once. `body` is the record without its number.
CREATE TABLE records (
    id TEXT PRIMARY KEY NOT NULL,
    lesson TEXT NOT NULL,
    session TEXT NOT NULL,
    seq INTEGER NOT NULL,
    code TEXT NOT NULL,
    start_ms INTEGER NOT NULL,
    end_ms INTEGER,
    body TEXT NOT NULL,
    UNIQUE (session, seq)
) STRICT;
CREATE INDEX records_by_lesson ON records (lesson);

-- Speech under way, as the record it would be if it ended now. Moved to `records` when it
-- ends, or at the next start when the process was killed.
CREATE TABLE speaking (
    id TEXT PRIMARY KEY NOT NULL,
    lesson TEXT NOT NULL,
    body TEXT NOT NULL
) STRICT;
