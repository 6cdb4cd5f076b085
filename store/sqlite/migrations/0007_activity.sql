-- Whom an event concerns that somebody else brought about, for the page on which
-- people see what happened to what is theirs.

-- +goose Up

ALTER TABLE audit ADD COLUMN subject TEXT NOT NULL DEFAULT ''; -- kind:id

-- What programs do by themselves, which may be thousands of rows a second, is in
-- neither. The sequence is the row's id, which ends each index.
CREATE INDEX audit_by_user ON audit (environment, actor) WHERE substr(actor, 1, 5) = 'user:';
CREATE INDEX audit_by_subject ON audit (environment, subject) WHERE subject <> '';
