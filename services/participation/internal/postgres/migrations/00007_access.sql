-- +goose Up
-- raffle.Visibility: 1 PUBLIC, 2 MEMBERS. A version of the service that does not know it
-- makes public raffles, as before.
ALTER TABLE raffles ADD COLUMN visibility smallint NOT NULL DEFAULT 1 CHECK (visibility BETWEEN 1 AND 2);

-- Who has changed raffles, and when. It is written with the change. Nothing of it changes
-- but the member, whom a purge of the raffle removes.
CREATE TABLE audit_events (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at        timestamptz NOT NULL,
    call      text        NOT NULL,
    raffle_id bigint      NOT NULL,
    -- The subject of the token or the name in the certificate; empty if nobody is
    -- authenticated.
    actor     text        NOT NULL,
    -- Only if the call was about one member.
    member_id text COLLATE "C"
);

CREATE INDEX audit_events_raffle ON audit_events (raffle_id, id);

-- +goose Down
DROP TABLE audit_events;
ALTER TABLE raffles DROP COLUMN visibility;
