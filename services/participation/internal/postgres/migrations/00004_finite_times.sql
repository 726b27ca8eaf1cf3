-- +goose Up
-- Times that the contract can't express become absent: 'infinity', and years outside of
-- 1 to 9999. The new version brings the change to viewers.
UPDATE raffles SET
    opens_at   = CASE WHEN opens_at   >= '0001-01-01 00:00+00' AND opens_at   < '10000-01-01 00:00+00' THEN opens_at END,
    closes_at  = CASE WHEN closes_at  >= '0001-01-01 00:00+00' AND closes_at  < '10000-01-01 00:00+00' THEN closes_at END,
    created_at = CASE WHEN created_at >= '0001-01-01 00:00+00' AND created_at < '10000-01-01 00:00+00' THEN created_at ELSE now() END,
    updated_at = now(),
    version    = version + 1,
    settled    = false
WHERE NOT (opens_at   >= '0001-01-01 00:00+00' AND opens_at   < '10000-01-01 00:00+00')
   OR NOT (closes_at  >= '0001-01-01 00:00+00' AND closes_at  < '10000-01-01 00:00+00')
   OR NOT (created_at >= '0001-01-01 00:00+00' AND created_at < '10000-01-01 00:00+00')
   OR NOT (updated_at >= '0001-01-01 00:00+00' AND updated_at < '10000-01-01 00:00+00');

ALTER TABLE raffles
    ADD CONSTRAINT raffles_opens_at_check   CHECK (opens_at   >= '0001-01-01 00:00+00' AND opens_at   < '10000-01-01 00:00+00'),
    ADD CONSTRAINT raffles_closes_at_check  CHECK (closes_at  >= '0001-01-01 00:00+00' AND closes_at  < '10000-01-01 00:00+00'),
    ADD CONSTRAINT raffles_created_at_check CHECK (created_at >= '0001-01-01 00:00+00' AND created_at < '10000-01-01 00:00+00'),
    ADD CONSTRAINT raffles_updated_at_check CHECK (updated_at >= '0001-01-01 00:00+00' AND updated_at < '10000-01-01 00:00+00');

-- +goose Down
ALTER TABLE raffles
    DROP CONSTRAINT raffles_opens_at_check,
    DROP CONSTRAINT raffles_closes_at_check,
    DROP CONSTRAINT raffles_created_at_check,
    DROP CONSTRAINT raffles_updated_at_check;
