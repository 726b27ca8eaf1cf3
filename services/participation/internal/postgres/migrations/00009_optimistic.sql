-- +goose Up

-- Locks the row of a raffle if it is the one that a transaction of the caller has written,
-- and the raffle has not closed by then. Otherwise it fails, so that the transaction stores nothing.
-- +goose StatementBegin
CREATE FUNCTION lock_unchanged(raffle_id bigint, as_version bigint, written timestamptz, writer xid)
    RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM raffles
    WHERE id = raffle_id AND version = as_version AND updated_at = written AND xmin = writer
        AND (closes_at IS NULL OR closes_at > now())
    FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the raffle has changed' USING ERRCODE = 'RC002';
    END IF;
END $$;
-- +goose StatementEnd

-- +goose Down
DROP FUNCTION lock_unchanged;
