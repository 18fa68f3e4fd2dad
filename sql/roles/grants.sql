-- Three groups; logins are made members of them (GRANT lakehouse_reader TO ann). None can log in itself.
--   lakehouse_owner   owns everything here and so can migrate it; needs CREATE on the database
--   lakehouse_writer  what an export does: rows of the published tables, and emptying the staging tables
--   lakehouse_reader  the published tables and views
-- Roles belong to the whole server. Where the login that migrates may not make them, a NOTICE says so and all else
-- works without them; this file is applied again as soon as an administrator has made them.

DO $$
DECLARE
    group_name text;
BEGIN
    FOREACH group_name IN ARRAY ARRAY['lakehouse_owner', 'lakehouse_writer', 'lakehouse_reader'] LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = group_name) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', group_name);
                EXECUTE format('COMMENT ON ROLE %I IS %L', group_name, 'Group of the carbon lakehouse; see sql/roles');
            END IF;
        EXCEPTION
            WHEN insufficient_privilege THEN
                RAISE NOTICE 'role % is missing and % may not create it', group_name, current_user;
            WHEN duplicate_object OR unique_violation THEN
                NULL;  -- the migration of another database of this server was faster
        END;
    END LOOP;
END
$$;

-- Everything goes to lakehouse_owner, so that any of its members can migrate, whoever did so before.
DO $$
DECLARE
    object record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'lakehouse_owner') THEN
        RETURN;
    END IF;
    IF NOT pg_has_role(current_user, 'lakehouse_owner', 'USAGE') THEN
        EXECUTE format('GRANT lakehouse_owner TO %I', current_user);
    END IF;
    EXECUTE format('GRANT CREATE ON DATABASE %I TO lakehouse_owner', current_database());
    FOR object IN
        SELECT format('SCHEMA %I', nspname) AS name
        FROM pg_namespace
        WHERE nspname IN ('carbon_data', 'carbon_migrations')
            AND nspowner <> 'lakehouse_owner'::regrole
        UNION ALL
        SELECT format('%s %I.%I', CASE relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, nspname, relname)
        FROM pg_class
        JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE nspname IN ('carbon_data', 'carbon_migrations')
            AND relkind IN ('r', 'p', 'v')
            AND relowner <> 'lakehouse_owner'::regrole
    LOOP
        EXECUTE format('ALTER %s OWNER TO lakehouse_owner', object.name);
    END LOOP;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE NOTICE '% stays the owner: it may not hand over to lakehouse_owner', current_user;
END
$$;

-- A published table is one that has a staging table.
DO $$
DECLARE
    published text;
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'lakehouse_writer') THEN
        GRANT USAGE ON SCHEMA carbon_data, carbon_migrations TO lakehouse_writer;
        GRANT SELECT ON ALL TABLES IN SCHEMA carbon_migrations TO lakehouse_writer;
        GRANT SELECT ON ALL TABLES IN SCHEMA carbon_data TO lakehouse_writer;
        GRANT INSERT ON carbon_data.export_log, carbon_data.export_log_table TO lakehouse_writer;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'lakehouse_reader') THEN
        GRANT USAGE ON SCHEMA carbon_data TO lakehouse_reader;
        GRANT SELECT ON ALL TABLES IN SCHEMA carbon_data TO lakehouse_reader;
    END IF;
    FOR published IN
        SELECT substr(tablename, length('staging_') + 1)
        FROM pg_tables
        WHERE schemaname = 'carbon_data' AND starts_with(tablename, 'staging_')
    LOOP
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'lakehouse_writer') THEN
            EXECUTE format('GRANT INSERT, UPDATE, DELETE ON carbon_data.%I TO lakehouse_writer', published);
            EXECUTE format('GRANT INSERT, TRUNCATE ON carbon_data.%I TO lakehouse_writer', 'staging_' || published);
        END IF;
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'lakehouse_reader') THEN
            -- a half-staged export is nobody's business
            EXECUTE format('REVOKE ALL ON carbon_data.%I FROM lakehouse_reader', 'staging_' || published);
        END IF;
    END LOOP;
END
$$;
