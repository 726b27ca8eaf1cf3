-- +goose Up
-- One row, which says which database this is. A dump and a replica have the same id.
CREATE TABLE database_identity (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    id     text    NOT NULL DEFAULT replace(gen_random_uuid()::text, '-', ''),
    -- Every instance of the service raises it once a second. If one sees it fall, the
    -- database was restored to an earlier time, or a failover has lost commits.
    ticks  bigint  NOT NULL DEFAULT 0
);
INSERT INTO database_identity DEFAULT VALUES;

ALTER TABLE raffles
    -- Tells a raffle from another one that had the same id in another life of the
    -- database. The default is evaluated for each row.
    ADD COLUMN epoch text NOT NULL DEFAULT substr(replace(gen_random_uuid()::text, '-', ''), 1, 12);

-- Earlier versions could mark more as published than there was.
UPDATE raffles SET published_version = 0, settled = false WHERE published_version > version;

-- +goose Down
ALTER TABLE raffles DROP COLUMN epoch;
DROP TABLE database_identity;
