-- What people, public clients, shared tokens and connected apps need.

-- +goose Up

ALTER TABLE client ADD COLUMN public INTEGER NOT NULL DEFAULT 0;
ALTER TABLE client ADD COLUMN exchange INTEGER NOT NULL DEFAULT 0;
ALTER TABLE client ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE client ADD COLUMN owner TEXT NOT NULL DEFAULT '';
ALTER TABLE client ADD COLUMN redirect_uris TEXT NOT NULL DEFAULT ''; -- separated by blanks
ALTER TABLE client ADD COLUMN pkce_optional INTEGER NOT NULL DEFAULT 0;
ALTER TABLE client ADD COLUMN state_optional INTEGER NOT NULL DEFAULT 0;

ALTER TABLE code ADD COLUMN challenge TEXT NOT NULL DEFAULT '';
ALTER TABLE code ADD COLUMN redirect_uri TEXT NOT NULL DEFAULT '';

ALTER TABLE token ADD COLUMN creator TEXT NOT NULL DEFAULT '';
ALTER TABLE token ADD COLUMN sealed BLOB; -- NULL: never kept, or destroyed

-- The sealed copies that are to be destroyed: with their time, or with their grant.
CREATE INDEX token_sealed ON token (environment, expires, grant_id) WHERE sealed IS NOT NULL;
CREATE INDEX token_by_creator ON token (environment, creator) WHERE creator <> '';

-- Who has seen the value of a token, beside its creator.
CREATE TABLE token_shown (
    environment TEXT    NOT NULL,
    token       TEXT    NOT NULL,
    principal   TEXT    NOT NULL,
    at          INTEGER NOT NULL, -- when first
    PRIMARY KEY (environment, token, principal),
    FOREIGN KEY (environment, token) REFERENCES token (environment, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX token_shown_to ON token_shown (environment, principal);

CREATE TABLE connection (
    environment TEXT NOT NULL,
    grant_id    TEXT NOT NULL,
    token       TEXT NOT NULL,
    user_secret TEXT NOT NULL,
    PRIMARY KEY (environment, grant_id),
    FOREIGN KEY (environment, grant_id) REFERENCES grants (environment, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE session (
    environment   TEXT    NOT NULL,
    hash          BLOB    NOT NULL CHECK (length(hash) = 32),
    id            TEXT    NOT NULL CHECK (id <> ''),
    key_id        TEXT    NOT NULL,
    principal     TEXT    NOT NULL,
    epoch         INTEGER NOT NULL,
    created       INTEGER NOT NULL,
    authenticated INTEGER NOT NULL,
    seen          INTEGER NOT NULL,
    expires       INTEGER NOT NULL,
    address       TEXT    NOT NULL,
    agent         TEXT    NOT NULL,
    PRIMARY KEY (environment, hash),
    FOREIGN KEY (environment, principal) REFERENCES principal (environment, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX session_by_principal ON session (environment, principal);
CREATE INDEX session_by_expiry ON session (environment, expires);

-- As in 0002_collect.sql.
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('token', 'token_sealed', '100000 50000 2 1'),
    ('token', 'token_by_creator', '100000 50000 100'),
    ('token_shown', 'token_shown', '100000 50000 5 1'),
    ('token_shown', 'token_shown_to', '100000 50000 100'),
    ('connection', 'connection', '1000000 500000 1'),
    ('session', 'session', '100000 50000 1'),
    ('session', 'session_by_principal', '100000 50000 5'),
    ('session', 'session_by_expiry', '100000 50000 2');

ANALYZE sqlite_schema;
