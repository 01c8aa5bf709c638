-- Copyright (c) 2026, the sre.runbooks developers
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- The rights that looking at databases and ending idle sessions need, and no others. Run it once in each database that the
-- role is to look at, and again when a schema got a history of its own:
--
--     psql --dbname hafnium --file docs/grants.sql
--
-- Then give the role a password (\password sre_runbooks) or another way to log in. What writes, migrations and backups
-- and restores, runs as the owner of its database, not as this role.
--
-- A restore for real (recovery_restore_user) closes, renames and makes databases, ends sessions in them and gives what it restores
-- to its owners. Where that is no superuser, it needs, with the roles that own the databases and what is in them:
--
--     CREATE ROLE restore LOGIN CREATEDB;
--     GRANT customer_user, order_user TO restore;             -- with INHERIT and SET, as is the default
--     GRANT pg_read_all_stats, pg_signal_backend TO restore;  -- sessions of superusers are ended by superusers only

-- Who may run this: a superuser. Managed servers have none to give; there it is the administrator that comes with the server
-- (Amazon RDS and Aurora: the master user, in rds_superuser; Google Cloud SQL: a user in cloudsqlsuperuser; Azure: the
-- administrator, in azure_pg_admin), who from PostgreSQL 16 on must hold the roles that are granted WITH ADMIN OPTION. Rights
-- on schemas and tables are given by their owner: where the administrator is not, each that is missing is a warning, and
-- running this once more as the owner gives those. What is refused holds up nothing that follows.

DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'sre_runbooks') THEN
        CREATE ROLE sre_runbooks LOGIN;
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE WARNING 'the role sre_runbooks could not be made: %', SQLERRM;
END
$$;

-- Sessions and statements of other users, without which idle ones would be counted as none (pg_activity, pg_idle_kill);
-- ending sessions of other users, superusers excepted (pg_idle_kill). A way in when every other place is taken: PostgreSQL 16
-- and newer, with reserved_connections above 0; a managed server may keep that to itself.
DO $$
DECLARE
    wanted name;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['pg_read_all_stats', 'pg_signal_backend', 'pg_use_reserved_connections']::name[] LOOP
        IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = wanted) AND NOT pg_has_role('sre_runbooks', wanted, 'USAGE') THEN
            BEGIN
                EXECUTE format('GRANT %I TO sre_runbooks', wanted);
            EXCEPTION WHEN insufficient_privilege THEN
                RAISE WARNING '% was not granted: %', wanted, SQLERRM;
            END;
        END IF;
    END LOOP;
END
$$;

DO $$
BEGIN
    IF NOT has_database_privilege('sre_runbooks', current_database(), 'CONNECT') THEN
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO sre_runbooks', current_database());
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE WARNING 'CONNECT was not granted, which the owner of the database may do: %', SQLERRM;
END
$$;

-- The histories of Flyway (flyway_status): reading them, and nothing else in their schemas.
DO $$
DECLARE
    history record;
BEGIN
    FOR history IN
        SELECT n.nspname, c.relname
        FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relname = 'flyway_schema_history' AND c.relkind IN ('r', 'p')
    LOOP
        BEGIN
            EXECUTE format('GRANT USAGE ON SCHEMA %I TO sre_runbooks', history.nspname);
            EXECUTE format('GRANT SELECT ON %I.%I TO sre_runbooks', history.nspname, history.relname);
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE WARNING '%.% is not to be read by sre_runbooks; its owner gives that: %', history.nspname, history.relname, SQLERRM;
        END;
    END LOOP;
END
$$;

-- The tables of the e-commerce platform (ecommerce_store), where this is one of its databases: not the kept answers, and of
-- an order no more than its number. The payload of an event holds the order number, and personal data beside it.
DO $$
DECLARE
    readable record;
BEGIN
    FOR readable IN
        SELECT n.nspname, c.relname, string_agg(quote_ident(a.attname), ', ') AS columns
        FROM (
            VALUES
            ('order_created_outbox', ARRAY['id', 'payload', 'created_at', 'published_at', 'status', 'retry_count', 'error_message']),
            ('checkout_idempotency', ARRAY['idempotency_key', 'response_status', 'created_at', 'expires_at']),
            ('orders', ARRAY['order_number'])
        ) AS wanted (relname, columns)
        JOIN pg_class c ON c.relname = wanted.relname AND c.relkind IN ('r', 'p')
        JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = ANY (wanted.columns)
        GROUP BY n.nspname, c.relname, wanted.columns
        HAVING count(*) = cardinality(wanted.columns)
    LOOP
        BEGIN
            EXECUTE format('GRANT USAGE ON SCHEMA %I TO sre_runbooks', readable.nspname);
            EXECUTE format('GRANT SELECT (%s) ON %I.%I TO sre_runbooks', readable.columns, readable.nspname, readable.relname);
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE WARNING '%.% is not to be read by sre_runbooks; its owner gives that: %', readable.nspname, readable.relname, SQLERRM;
        END;
    END LOOP;
END
$$;
