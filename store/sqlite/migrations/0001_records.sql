-- The records of caddy-bearer. Everything is keyed by environment.
--
-- Instants are microseconds since 1970 (0: the zero time). Lists of scopes are
-- one text, separated by blanks. Numbers (epoch, rights) are drawn from counter.

-- +goose Up

-- Facts about the store itself.
CREATE TABLE meta (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One row, shared by all environments: it may only rise.
CREATE TABLE counter (
    name  TEXT    NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO counter (name, value) VALUES ('number', 0);

CREATE TABLE principal (
    environment TEXT    NOT NULL CHECK (environment <> ''),
    id          TEXT    NOT NULL CHECK (id <> ''),
    kind        TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    secret_hash TEXT    NOT NULL,
    max_scopes  TEXT    NOT NULL,
    status      TEXT    NOT NULL CHECK (status IN ('active', 'disabled')),
    source      TEXT    NOT NULL,
    epoch       INTEGER NOT NULL DEFAULT 0,
    rights      INTEGER NOT NULL DEFAULT 0,
    created     INTEGER NOT NULL,
    PRIMARY KEY (environment, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE client (
    environment TEXT    NOT NULL CHECK (environment <> ''),
    id          TEXT    NOT NULL CHECK (id <> ''),
    name        TEXT    NOT NULL,
    secret_hash TEXT    NOT NULL,
    max_scopes  TEXT    NOT NULL,
    status      TEXT    NOT NULL CHECK (status IN ('active', 'disabled')),
    source      TEXT    NOT NULL,
    epoch       INTEGER NOT NULL DEFAULT 0,
    rights      INTEGER NOT NULL DEFAULT 0,
    created     INTEGER NOT NULL,
    PRIMARY KEY (environment, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE account (
    environment TEXT    NOT NULL CHECK (environment <> ''),
    id          TEXT    NOT NULL CHECK (id <> ''),
    kind        TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    status      TEXT    NOT NULL CHECK (status IN ('active', 'disabled')),
    source      TEXT    NOT NULL,
    epoch       INTEGER NOT NULL DEFAULT 0,
    created     INTEGER NOT NULL,
    PRIMARY KEY (environment, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE binding (
    environment TEXT NOT NULL,
    principal   TEXT NOT NULL,
    account     TEXT NOT NULL,
    access      TEXT NOT NULL CHECK (access IN ('full', 'partial')),
    scopes      TEXT NOT NULL,
    source      TEXT NOT NULL,
    PRIMARY KEY (environment, principal, account),
    FOREIGN KEY (environment, principal) REFERENCES principal (environment, id),
    FOREIGN KEY (environment, account) REFERENCES account (environment, id)
) STRICT, WITHOUT ROWID;

-- Plural, because GRANT is a reserved word elsewhere.
CREATE TABLE grants (
    environment TEXT    NOT NULL,
    id          TEXT    NOT NULL CHECK (id <> ''),
    principal   TEXT    NOT NULL,
    client      TEXT    NOT NULL,
    scopes      TEXT    NOT NULL,
    epoch       INTEGER NOT NULL,
    created     INTEGER NOT NULL,
    expires     INTEGER NOT NULL,
    revoked     INTEGER NOT NULL DEFAULT 0,
    reason      TEXT    NOT NULL DEFAULT '',
    PRIMARY KEY (environment, id),
    FOREIGN KEY (environment, principal) REFERENCES principal (environment, id),
    FOREIGN KEY (environment, client) REFERENCES client (environment, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX grants_by_principal ON grants (environment, principal, created);
CREATE INDEX grants_by_client ON grants (environment, client, created);

CREATE TABLE grant_account (
    environment TEXT    NOT NULL,
    grant_id    TEXT    NOT NULL,
    account     TEXT    NOT NULL,
    position    INTEGER NOT NULL, -- accounts keep the order in which they were asked for
    PRIMARY KEY (environment, grant_id, account),
    FOREIGN KEY (environment, grant_id) REFERENCES grants (environment, id),
    FOREIGN KEY (environment, account) REFERENCES account (environment, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX grant_account_by_account ON grant_account (environment, account);

CREATE TABLE code (
    environment TEXT    NOT NULL,
    hash        BLOB    NOT NULL CHECK (length(hash) = 32),
    key_id      TEXT    NOT NULL,
    grant_id    TEXT    NOT NULL,
    expires     INTEGER NOT NULL,
    used        INTEGER NOT NULL DEFAULT 0, -- 0: not yet
    used_by     TEXT    NOT NULL DEFAULT '', -- not the grant's client: burnt
    PRIMARY KEY (environment, hash),
    FOREIGN KEY (environment, grant_id) REFERENCES grants (environment, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE token (
    environment TEXT    NOT NULL,
    id          TEXT    NOT NULL CHECK (id <> ''),
    hash        BLOB    NOT NULL CHECK (length(hash) = 32),
    class       TEXT    NOT NULL CHECK (class <> ''),
    grant_id    TEXT    NOT NULL,
    key_id      TEXT    NOT NULL,
    nonce       BLOB,
    created     INTEGER NOT NULL,
    expires     INTEGER NOT NULL, -- 0: permanent
    revoked     INTEGER NOT NULL DEFAULT 0,
    successor   BLOB    CHECK (length(successor) = 32), -- NULL: the family's head
    rotated     INTEGER NOT NULL DEFAULT 0,
    retries     INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (environment, id),
    FOREIGN KEY (environment, grant_id) REFERENCES grants (environment, id)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX token_by_hash ON token (environment, hash);
CREATE INDEX token_by_grant ON token (environment, grant_id);

CREATE TABLE signing_key (
    environment TEXT    NOT NULL CHECK (environment <> ''),
    id          TEXT    NOT NULL CHECK (id <> ''),
    algorithm   TEXT    NOT NULL,
    sealed      BLOB    NOT NULL,
    seal_key_id TEXT    NOT NULL,
    epoch       INTEGER NOT NULL DEFAULT 0,
    created     INTEGER NOT NULL,
    sign_from   INTEGER NOT NULL,
    sign_until  INTEGER NOT NULL,
    retired     INTEGER NOT NULL,
    PRIMARY KEY (environment, id)
) STRICT, WITHOUT ROWID;

-- The log. There is one writer, so sequence is the order of commits; and
-- AUTOINCREMENT never hands a number out twice, even when rows are collected.
CREATE TABLE revocation (
    sequence    INTEGER PRIMARY KEY AUTOINCREMENT,
    environment TEXT    NOT NULL CHECK (environment <> ''),
    kind        TEXT    NOT NULL,
    target      TEXT    NOT NULL CHECK (target <> ''),
    number      INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    expires     INTEGER NOT NULL,
    reason      TEXT    NOT NULL
) STRICT;

CREATE INDEX revocation_by_target ON revocation (environment, kind, target);

CREATE TABLE audit (
    sequence    INTEGER PRIMARY KEY AUTOINCREMENT,
    environment TEXT    NOT NULL CHECK (environment <> ''),
    at          INTEGER NOT NULL,
    actor       TEXT    NOT NULL,
    action      TEXT    NOT NULL,
    target      TEXT    NOT NULL,
    outcome     TEXT    NOT NULL,
    request_id  TEXT    NOT NULL
) STRICT;

CREATE INDEX audit_by_environment ON audit (environment, sequence);

-- +goose StatementBegin
CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit trail is append-only');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER audit_is_never_shortened BEFORE DELETE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit trail is append-only');
END;
-- +goose StatementEnd
