-- What the migrations themselves need, in a schema of its own: carbon_data stays what an analyst sees, and can be
-- made by the first migration like everything in it. Run by the migrator when one of the two tables is not there.

DO $$
BEGIN
    -- IF NOT EXISTS would ask for CREATE on the database also where an administrator has made the schema
    IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'carbon_migrations') THEN
        CREATE SCHEMA carbon_migrations;
    END IF;
END
$$;
COMMENT ON SCHEMA carbon_migrations IS 'Which SQL files the lakehouse has applied to this database';

CREATE TABLE IF NOT EXISTS carbon_migrations.applied_migration (
    name       TEXT        NOT NULL,
    sha256     TEXT        NOT NULL,
    applied_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    CONSTRAINT applied_migration_pkey PRIMARY KEY (name)
);
COMMENT ON TABLE carbon_migrations.applied_migration IS 'One row per migration, written in its own transaction';
COMMENT ON COLUMN carbon_migrations.applied_migration.name IS 'File under sql/migrations';
COMMENT ON COLUMN carbon_migrations.applied_migration.sha256 IS 'SHA-256 of the file as it was applied, hexadecimal';
COMMENT ON COLUMN carbon_migrations.applied_migration.applied_at IS 'When its transaction began';

CREATE TABLE IF NOT EXISTS carbon_migrations.applied_definitions (
    fingerprint TEXT        NOT NULL,
    applied_at  TIMESTAMPTZ NOT NULL DEFAULT now()
);
COMMENT ON TABLE carbon_migrations.applied_definitions IS
    'One row: the views and grants, which are applied again whenever they or what they rest on changed';
COMMENT ON COLUMN carbon_migrations.applied_definitions.fingerprint IS
    'SHA-256 of the files under sql/views and sql/roles, the newest migration and the groups that exist, hexadecimal';
COMMENT ON COLUMN carbon_migrations.applied_definitions.applied_at IS 'When their transaction began';
