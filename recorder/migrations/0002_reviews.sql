-- What observers note beside a recording (听评课), and their scoring sheets. What was noted in the
-- lesson itself comes along when it is published.
CREATE TABLE notes (
    recording TEXT NOT NULL,
    member    TEXT NOT NULL,
    id        TEXT NOT NULL,
    at_ms     INTEGER NOT NULL,
    text      TEXT NOT NULL,
    PRIMARY KEY (recording, member, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE sheets (
    recording TEXT NOT NULL,
    member    TEXT NOT NULL,
    sheet     TEXT NOT NULL,
    PRIMARY KEY (recording, member)
) STRICT, WITHOUT ROWID;
