-- A secret that was replaced may be good for a while longer.

-- +goose Up

ALTER TABLE client ADD COLUMN old_secret_hash TEXT NOT NULL DEFAULT '';
ALTER TABLE client ADD COLUMN old_secret_until INTEGER NOT NULL DEFAULT 0;
