-- What personal tokens, signing keys in files and the sealed audit trail need.

-- +goose Up

ALTER TABLE token ADD COLUMN label TEXT NOT NULL DEFAULT '';
ALTER TABLE token ADD COLUMN networks TEXT NOT NULL DEFAULT ''; -- CIDR, separated by blanks
ALTER TABLE token ADD COLUMN rate_requests INTEGER NOT NULL DEFAULT 0;
ALTER TABLE token ADD COLUMN rate_per INTEGER NOT NULL DEFAULT 0; -- microseconds
ALTER TABLE token ADD COLUMN used INTEGER NOT NULL DEFAULT 0;

ALTER TABLE signing_key ADD COLUMN public BLOB; -- of a key whose private half is elsewhere

ALTER TABLE audit ADD COLUMN reason TEXT NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN address TEXT NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN count INTEGER NOT NULL DEFAULT 1;

-- The seals of the audit trail, each over the rows from first to last and over
-- the seal before it.
CREATE TABLE audit_seal (
    last      INTEGER PRIMARY KEY,
    first     INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    digest    BLOB    NOT NULL CHECK (length(digest) = 32),
    checks    BLOB    NOT NULL, -- by which a row that was changed is found
    key_id    TEXT    NOT NULL,
    signature BLOB    NOT NULL
) STRICT;

-- +goose StatementBegin
CREATE TRIGGER audit_seal_is_never_changed BEFORE UPDATE ON audit_seal
BEGIN
    SELECT RAISE(ABORT, 'the audit trail is append-only');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER audit_seal_is_never_shortened BEFORE DELETE ON audit_seal
BEGIN
    SELECT RAISE(ABORT, 'the audit trail is append-only');
END;
-- +goose StatementEnd
