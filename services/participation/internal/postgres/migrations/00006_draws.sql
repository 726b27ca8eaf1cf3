-- +goose Up
ALTER TABLE raffles
    ADD COLUMN description  text      NOT NULL DEFAULT '',
    ADD COLUMN picture_url  text      NOT NULL DEFAULT '',
    -- The prizes, by name and number; NULL: the winners are alike.
    ADD COLUMN prize_names  text[],
    ADD COLUMN prize_counts integer[],
    -- raffle.Rule: 1 ENTRY_WINS, 2 MEMBER_WINS_ONCE
    ADD COLUMN rule         smallint  NOT NULL DEFAULT 1 CHECK (rule BETWEEN 1 AND 2),
    ADD COLUMN alternates   integer   NOT NULL DEFAULT 0 CHECK (alternates >= 0),
    -- How many members have 1, 2 and so on entries. Only for MEMBER_WINS_ONCE.
    ADD COLUMN holders      bigint[],
    -- The raffle's log: its name, and its Merkle tree, as the number of records in eight
    -- bytes and the hashes of the complete subtrees. NULL: it has none, and is not drawn.
    ADD COLUMN log_origin   text,
    ADD COLUMN log_tree     bytea,
    -- How many records were published, if a restore has lost some of an ended raffle.
    ADD COLUMN log_seen     bigint    NOT NULL DEFAULT 0,
    -- The chain of drand, by its hash, and the time between closing and draw.
    ADD COLUMN draw_chain   text,
    ADD COLUMN draw_delay   integer, -- seconds
    -- The draw that lies ahead.
    ADD COLUMN draws_at     timestamptz,
    -- The drawing that lies ahead, or the last one, and its round.
    ADD COLUMN drawing      integer   NOT NULL DEFAULT 0,
    ADD COLUMN draw_round   bigint    NOT NULL DEFAULT 0,
    -- The signed checkpoint of the closed log.
    ADD COLUMN checkpoint   text      NOT NULL DEFAULT '',
    -- The first tickets that hold a prize, and which of the prizes it is.
    ADD COLUMN winning_tickets bigint[],
    ADD COLUMN winning_prizes  integer[];

-- For the drawer. Entries do not change draws_at, so their updates stay in the page.
CREATE INDEX raffles_draws ON raffles (draws_at) WHERE draws_at IS NOT NULL;

-- The index of the entry's record in the raffle's log; NULL: the raffle has none.
ALTER TABLE entries ADD COLUMN ticket bigint;

-- The records of the logs, as many in a row as were written together, each as its length
-- in four bytes, big-endian, and its bytes.
CREATE TABLE raffle_log (
    raffle_id bigint  NOT NULL,
    first     bigint  NOT NULL, -- index of the first record
    count     integer NOT NULL,
    records   bytea   NOT NULL,
    PRIMARY KEY (raffle_id, first)
);
-- Hashes do not compress.
ALTER TABLE raffle_log ALTER COLUMN records SET STORAGE EXTERNAL;

-- The secret of a raffle, from which its members' openings are made. A purge deletes it.
CREATE TABLE raffle_keys (
    raffle_id bigint PRIMARY KEY,
    key       bytea  NOT NULL CHECK (length(key) = 32)
);

-- The drawings of the raffles, those that lie ahead included.
CREATE TABLE drawings (
    raffle_id  bigint      NOT NULL,
    drawing    integer     NOT NULL,
    round      bigint      NOT NULL,
    draws_at   timestamptz NOT NULL,
    -- The signed checkpoint of the log up to the record that fixed the round.
    checkpoint text        NOT NULL,
    signature  text        NOT NULL DEFAULT '', -- of the round, in hex, once it is drawn
    seed       text        NOT NULL DEFAULT '', -- of the drawing, in hex, once it is drawn
    PRIMARY KEY (raffle_id, drawing)
);

-- The tickets whose entries were withdrawn.
CREATE TABLE withdrawn_tickets (
    raffle_id bigint NOT NULL,
    ticket    bigint NOT NULL,
    PRIMARY KEY (raffle_id, ticket)
);

-- The tickets that were drawn.
CREATE TABLE winners (
    raffle_id bigint   NOT NULL,
    ticket    bigint   NOT NULL,
    drawing   integer  NOT NULL,
    position  integer  NOT NULL, -- in the order of the drawing, from 1
    member_id text COLLATE "C",  -- NULL: purged
    -- raffle.WinnerState: 1 WINS, 2 ALTERNATE, 3 STRUCK
    state     smallint NOT NULL CHECK (state BETWEEN 1 AND 3),
    prize     integer  NOT NULL, -- which of the prizes, from 1; 0: none, or the winners are alike
    place     integer  NOT NULL, -- among all prizes, or among the alternates, from 1
    reason    smallint NOT NULL DEFAULT 0,
    PRIMARY KEY (raffle_id, ticket)
);

-- +goose Down
DROP TABLE winners, withdrawn_tickets, drawings, raffle_keys, raffle_log;
ALTER TABLE entries DROP COLUMN ticket;
DROP INDEX raffles_draws;
ALTER TABLE raffles
    DROP COLUMN description, DROP COLUMN picture_url, DROP COLUMN prize_names, DROP COLUMN prize_counts,
    DROP COLUMN rule, DROP COLUMN alternates, DROP COLUMN holders, DROP COLUMN log_origin, DROP COLUMN log_tree, DROP COLUMN log_seen,
    DROP COLUMN draw_chain, DROP COLUMN draw_delay, DROP COLUMN draws_at, DROP COLUMN drawing,
    DROP COLUMN draw_round, DROP COLUMN checkpoint, DROP COLUMN winning_tickets, DROP COLUMN winning_prizes;
