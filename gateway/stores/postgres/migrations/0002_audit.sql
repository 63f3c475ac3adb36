-- The audit trail: sessions outlive their deletion until retention is over, and with them what they owned.

ALTER TABLE @schema@.sessions
    ADD COLUMN deleted_at timestamptz,
    ALTER COLUMN document DROP NOT NULL;  -- none: something of it came before itself

DROP INDEX @schema@.sessions_of_namespace;
DROP INDEX @schema@.sessions_of_user;
CREATE INDEX sessions_listed ON @schema@.sessions (place)
    WHERE deleted_at IS NULL AND document IS NOT NULL;
CREATE INDEX sessions_of_namespace ON @schema@.sessions (namespace_id, place)
    WHERE deleted_at IS NULL AND document IS NOT NULL;
CREATE INDEX sessions_of_user ON @schema@.sessions (user_id, place)
    WHERE deleted_at IS NULL AND document IS NOT NULL;
CREATE INDEX sessions_owned ON @schema@.sessions (coalesce(namespace_id, '\-'), coalesce(user_id, '\-'));
CREATE INDEX sessions_stale ON @schema@.sessions (heartbeat_at) WHERE NOT over;
CREATE INDEX sessions_expiring ON @schema@.sessions (coalesce(deleted_at, updated_at)) WHERE over;

CREATE TABLE @schema@.snapshots (
    session_id text PRIMARY KEY REFERENCES @schema@.sessions ON DELETE CASCADE,
    gen bigint NOT NULL,
    seq bigint NOT NULL,
    snapshot bytea NOT NULL,
    kept_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);

CREATE TABLE @schema@.history (
    session_id text NOT NULL REFERENCES @schema@.sessions ON DELETE CASCADE,
    seq bigint NOT NULL,
    type text NOT NULL,
    audio_s double precision NOT NULL,
    data bytea NOT NULL,  -- the event in msgpack
    kept_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (session_id, seq)
);

CREATE TABLE @schema@.tasks (
    session_id text NOT NULL REFERENCES @schema@.sessions ON DELETE CASCADE,
    task_id text NOT NULL,
    task_type text NOT NULL,
    state text NOT NULL,
    at timestamptz NOT NULL,
    ended boolean NOT NULL,
    PRIMARY KEY (session_id, task_id)
);

-- What was erased doesn't come back with a batch that is written late. Only digests of random ids.
CREATE TABLE @schema@.erased (
    digest bytea PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now()
);

CREATE OR REPLACE FUNCTION @schema@.create_session(
    p_id text, p_version bigint, p_namespace text, p_user text, p_device text, p_status text, p_over boolean,
    p_node text, p_created double precision, p_updated double precision, p_document text,
    q_namespaces text[], q_users text[], q_everybody boolean[], q_most bigint[]
) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    key bigint;
    counted bigint;
BEGIN
    IF EXISTS (SELECT FROM @schema@.sessions WHERE id = p_id AND deleted_at IS NULL AND document IS NOT NULL)
    THEN
        RETURN -1;
    END IF;
    -- Whoever counts the same waits for whoever is counting, always in the same order, and for nobody else.
    FOR key IN
        SELECT DISTINCT hashtextextended('@schema@' || q.space || E'\n' || q.person, 0)
        FROM (SELECT coalesce(s, '\-') AS space, CASE WHEN e THEN '\*' ELSE coalesce(u, '\-') END AS person
              FROM unnest(q_namespaces, q_users, q_everybody) AS given(s, u, e)) AS q ORDER BY 1
    LOOP
        PERFORM pg_advisory_xact_lock(key);
    END LOOP;
    FOR i IN 1..cardinality(q_most) LOOP
        SELECT count(*) INTO counted FROM @schema@.sessions
        WHERE NOT over AND coalesce(namespace_id, '\-') = coalesce(q_namespaces[i], '\-')
            AND (q_everybody[i] OR coalesce(user_id, '\-') = coalesce(q_users[i], '\-'));
        IF counted >= q_most[i] THEN
            RETURN i;
        END IF;
    END LOOP;
    DELETE FROM @schema@.sessions WHERE id = p_id AND (deleted_at IS NOT NULL OR document IS NULL);
    INSERT INTO @schema@.sessions (id, version, namespace_id, user_id, device_type, status, over, node,
                                   created_at, updated_at, heartbeat_at, document)
    VALUES (p_id, p_version, p_namespace, p_user, p_device, p_status, p_over, p_node,
            to_timestamp(p_created), to_timestamp(p_updated), now(), p_document)
    ON CONFLICT (id) DO NOTHING;
    RETURN CASE WHEN FOUND THEN 0 ELSE -1 END;
END $$;
