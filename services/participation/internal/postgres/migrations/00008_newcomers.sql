-- +goose Up

-- Stores entries of members who are expected to have none. If one of them has an entry in
-- the raffle, nothing is stored, and the error says so without the member's id, which the
-- error of the primary key would write to the server's log.
-- +goose StatementBegin
CREATE FUNCTION insert_newcomers(raffle_ids bigint[], member_ids text[], ordinals integer[], request_ids uuid[],
    created timestamptz, tickets bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO entries (raffle_id, member_id, ordinal, request_id, created_at, ticket)
    SELECT unnest(raffle_ids), unnest(member_ids), unnest(ordinals), unnest(request_ids), created,
        nullif(unnest(tickets), 0);
EXCEPTION WHEN unique_violation THEN
    RAISE EXCEPTION 'a member has an entry already' USING ERRCODE = 'RC001';
END $$;
-- +goose StatementEnd

-- +goose Down
DROP FUNCTION insert_newcomers;
