-- +goose Up
-- A hash of what the request asked for, so that another request with the same id is not
-- taken for a repetition. NULL for requests of earlier versions.
ALTER TABLE raffle_requests ADD COLUMN content bytea;

-- +goose Down
ALTER TABLE raffle_requests DROP COLUMN content;
