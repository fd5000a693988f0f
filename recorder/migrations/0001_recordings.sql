-- A recorded lesson. `document` is the recording as the API tells it; the columns beside it
-- are what lists are filtered and ordered by. `search` is title, teacher, subject, grade and
-- campus in one, folded as `library/search.rs` folds queries.
CREATE TABLE recordings (
    id         TEXT PRIMARY KEY NOT NULL,
    lesson     TEXT NOT NULL,
    teacher    TEXT NOT NULL,
    subject    TEXT NOT NULL,
    started_ms INTEGER NOT NULL,
    search     TEXT NOT NULL,
    document   TEXT NOT NULL
) STRICT;

CREATE INDEX recordings_by_start ON recordings (started_ms DESC, id);
CREATE INDEX recordings_by_lesson ON recordings (lesson);
