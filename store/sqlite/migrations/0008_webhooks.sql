-- Where users are told what happens to their tokens, and what is on its way there.

-- +goose Up

CREATE TABLE webhook (
    environment TEXT    NOT NULL,
    principal   TEXT    NOT NULL,
    url         TEXT    NOT NULL CHECK (url <> ''),
    kinds       TEXT    NOT NULL, -- separated by blanks
    sealed      BLOB    NOT NULL,
    key_id      TEXT    NOT NULL,
    created     INTEGER NOT NULL,
    off         TEXT    NOT NULL, -- why it is switched off; empty: it is on
    after       INTEGER NOT NULL,
    announced   INTEGER NOT NULL,
    failures    INTEGER NOT NULL,
    failing     INTEGER NOT NULL,
    retry       INTEGER NOT NULL,
    window      INTEGER NOT NULL,
    sent        INTEGER NOT NULL,
    left_out    INTEGER NOT NULL,
    PRIMARY KEY (environment, principal),
    FOREIGN KEY (environment, principal) REFERENCES principal (environment, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE delivery (
    sequence    INTEGER PRIMARY KEY AUTOINCREMENT,
    environment TEXT    NOT NULL,
    id          TEXT    NOT NULL CHECK (id <> ''),
    principal   TEXT    NOT NULL,
    type        TEXT    NOT NULL,
    body        BLOB    NOT NULL,
    created     INTEGER NOT NULL,
    attempts    INTEGER NOT NULL,
    last        INTEGER NOT NULL,
    outcome     TEXT    NOT NULL,
    status      INTEGER NOT NULL,
    done        INTEGER NOT NULL, -- 0: it waits
    UNIQUE (environment, id),
    FOREIGN KEY (environment, principal) REFERENCES webhook (environment, principal) ON DELETE CASCADE
) STRICT;

CREATE INDEX delivery_by_principal ON delivery (environment, principal, sequence);
CREATE INDEX delivery_waiting ON delivery (environment, principal, sequence) WHERE done = 0;
CREATE INDEX delivery_by_end ON delivery (environment, done) WHERE done > 0;

-- As in 0002_collect.sql.
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('webhook', 'webhook', '1000 500 1'),
    ('delivery', 'sqlite_autoindex_delivery_1', '100000 50000 1'),
    ('delivery', 'delivery_by_principal', '100000 50000 100 1'),
    ('delivery', 'delivery_waiting', '1000 500 10 1'),
    ('delivery', 'delivery_by_end', '100000 50000 2');

ANALYZE sqlite_schema;
