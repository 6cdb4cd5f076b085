-- From where a personal token was used last.

-- +goose Up

ALTER TABLE token ADD COLUMN used_from TEXT NOT NULL DEFAULT ''; -- an address; empty: not known
