-- +goose Up
-- Secrets that all instances of the service share, made by the database.
CREATE TABLE secrets (
    name  text PRIMARY KEY,
    value text NOT NULL
);

-- Encrypts page tokens. A random UUID holds 122 random bits.
INSERT INTO secrets (name, value)
VALUES ('page tokens', gen_random_uuid()::text || gen_random_uuid()::text);

-- +goose Down
DROP TABLE secrets;
