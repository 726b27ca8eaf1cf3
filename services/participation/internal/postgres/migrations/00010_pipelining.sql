-- +goose Up
-- Locks the row of a raffle if the transaction before on this connection has written it, which
-- has left the marker. A marker stays only if its transaction commits. Otherwise, or if the
-- raffle has closed by then, it fails, so that the transaction stores nothing.
-- +goose StatementBegin
CREATE FUNCTION lock_next(raffle_id bigint, as_version bigint, marker text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM raffles
    WHERE id = raffle_id AND version = as_version AND current_setting('rafflecast.written', true) = marker || xmin::text
        AND (closes_at IS NULL OR closes_at > now())
    FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the raffle has changed' USING ERRCODE = 'RC002';
    END IF;
END $$;
-- +goose StatementEnd

-- +goose Down
DROP FUNCTION lock_next;
