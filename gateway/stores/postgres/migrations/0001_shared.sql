-- What nodes share: sessions, tickets, streams, and what the nodes know of each other.
-- Text that a client chose comes escaped (gateway/stores/postgres/columns.py): `\-` can't be anybody's name.

CREATE TABLE @schema@.sessions (
    id text PRIMARY KEY,
    place bigint GENERATED ALWAYS AS IDENTITY UNIQUE,  -- the order of creation
    version bigint NOT NULL,
    namespace_id text,
    user_id text,
    device_type text,
    status text NOT NULL,
    over boolean NOT NULL,
    node text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    heartbeat_at timestamptz NOT NULL,
    document text NOT NULL  -- JSON; no jsonb, which can't hold every string
) WITH (fillfactor = 80);

CREATE INDEX sessions_counted ON @schema@.sessions
    (coalesce(namespace_id, '\-'), coalesce(user_id, '\-')) WHERE NOT over;
CREATE INDEX sessions_of_namespace ON @schema@.sessions (namespace_id, place);
CREATE INDEX sessions_of_user ON @schema@.sessions (user_id, place);

-- 0: it was created. -1: its id is taken. n > 0: the n-th quota is reached.
CREATE FUNCTION @schema@.create_session(
    p_id text, p_version bigint, p_namespace text, p_user text, p_device text, p_status text, p_over boolean,
    p_node text, p_created double precision, p_updated double precision, p_document text,
    q_namespaces text[], q_users text[], q_everybody boolean[], q_most bigint[]
) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    key bigint;
    counted bigint;
BEGIN
    IF EXISTS (SELECT FROM @schema@.sessions WHERE id = p_id) THEN
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
    INSERT INTO @schema@.sessions (id, version, namespace_id, user_id, device_type, status, over, node,
                                   created_at, updated_at, heartbeat_at, document)
    VALUES (p_id, p_version, p_namespace, p_user, p_device, p_status, p_over, p_node,
            to_timestamp(p_created), to_timestamp(p_updated), now(), p_document)
    ON CONFLICT (id) DO NOTHING;
    RETURN CASE WHEN FOUND THEN 0 ELSE -1 END;
END $$;

CREATE TABLE @schema@.tickets (
    hash text PRIMARY KEY,
    place bigint GENERATED ALWAYS AS IDENTITY UNIQUE,  -- the order of issue
    session_id text NOT NULL,
    role text NOT NULL,
    expires double precision NOT NULL
);
CREATE INDEX tickets_of_session ON @schema@.tickets (session_id, place);
CREATE INDEX tickets_by_expiry ON @schema@.tickets (expires);

-- The place of the ticket, and how many older ones of its session had to go.
CREATE FUNCTION @schema@.issue_ticket(
    p_hash text, p_session text, p_role text, p_expires double precision, p_per_session bigint,
    OUT place bigint, OUT evicted bigint
) LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM @schema@.tickets AS t WHERE t.hash = p_hash;
    INSERT INTO @schema@.tickets AS t (hash, session_id, role, expires)
    VALUES (p_hash, p_session, p_role, p_expires)
    ON CONFLICT (hash) DO UPDATE
        SET session_id = EXCLUDED.session_id, role = EXCLUDED.role, expires = EXCLUDED.expires
    RETURNING t.place INTO place;
    DELETE FROM @schema@.tickets AS t WHERE t.session_id = p_session AND t.place <= (
        SELECT o.place FROM @schema@.tickets AS o WHERE o.session_id = p_session
        ORDER BY o.place DESC OFFSET p_per_session LIMIT 1);
    GET DIAGNOSTICS evicted = ROW_COUNT;
END $$;

-- One time for all nodes: gateway/sessions/clusterclock.py.
CREATE TABLE @schema@.cluster (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    server double precision NOT NULL,
    cluster double precision NOT NULL,
    leader text
);

CREATE FUNCTION @schema@.server_time() RETURNS double precision LANGUAGE sql VOLATILE AS
    'SELECT extract(epoch FROM clock_timestamp())::double precision';

CREATE FUNCTION @schema@.agreed(
    server double precision, kept_server double precision, kept_cluster double precision,
    estimate double precision
) RETURNS double precision LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN server - kept_server BETWEEN 0 AND 5 OR estimate IS NULL
        THEN kept_cluster + greatest(0, server - kept_server) ELSE greatest(kept_cluster, estimate) END
$$;

CREATE TABLE @schema@.nodes (
    id text PRIMARY KEY,
    name text NOT NULL,
    sessions bigint NOT NULL,
    expires double precision NOT NULL  -- the cluster's time
);

CREATE TABLE @schema@.losses (
    node_id text NOT NULL,
    session_id text NOT NULL,
    place bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (node_id, session_id)
);

CREATE FUNCTION @schema@.beat(
    p_id text, p_name text, p_sessions bigint, p_estimate double precision, p_lease double precision,
    OUT now double precision, OUT alive text[], OUT leads boolean, OUT lost text[]
) LANGUAGE plpgsql AS $$
DECLARE
    kept @schema@.cluster;
    at double precision := @schema@.server_time();
BEGIN
    INSERT INTO @schema@.cluster (server, cluster) VALUES (at, coalesce(p_estimate, at))
    ON CONFLICT DO NOTHING;
    SELECT * INTO kept FROM @schema@.cluster FOR UPDATE;
    at := @schema@.server_time();  -- whoever beat meanwhile was waited for
    now := @schema@.agreed(at, kept.server, kept.cluster, p_estimate);
    INSERT INTO @schema@.nodes (id, name, sessions, expires) VALUES (p_id, p_name, p_sessions, now + p_lease)
    ON CONFLICT (id) DO UPDATE
        SET name = EXCLUDED.name, sessions = EXCLUDED.sessions, expires = EXCLUDED.expires;
    DELETE FROM @schema@.nodes WHERE expires < now;
    IF kept.leader IS NULL OR NOT EXISTS (SELECT FROM @schema@.nodes WHERE id = kept.leader) THEN
        kept.leader := p_id;
    END IF;
    UPDATE @schema@.cluster SET server = at, cluster = now, leader = kept.leader;
    SELECT array_agg(id) INTO alive FROM @schema@.nodes;
    leads := kept.leader = p_id;
    WITH heard AS (DELETE FROM @schema@.losses WHERE node_id = p_id RETURNING session_id, place)
    SELECT coalesce(array_agg(session_id ORDER BY place), '{}') INTO lost FROM heard;
END $$;

CREATE TABLE @schema@.streams (
    session_id text PRIMARY KEY,
    epoch text NOT NULL,
    gen bigint NOT NULL,
    turn bigint NOT NULL DEFAULT 0,  -- of the attach that it was claimed for
    node text,  -- none: nobody yet
    top bigint NOT NULL DEFAULT 0,
    oldest bigint NOT NULL DEFAULT 1,
    oldest_at double precision,  -- the cluster's time, as all here
    held bigint NOT NULL DEFAULT 0,  -- bytes of the entries from the oldest on
    recorded bigint NOT NULL DEFAULT 0,  -- bytes in the record
    record_top bigint NOT NULL DEFAULT 0,
    truncated boolean NOT NULL DEFAULT false,
    snapshot bytea
) WITH (fillfactor = 50);
-- It changes with each commit: not worth compressing.
ALTER TABLE @schema@.streams ALTER COLUMN snapshot SET STORAGE EXTERNAL;

-- Streams that were deleted of late, so that their writers can tell that from a database that lost them.
CREATE TABLE @schema@.forgotten (
    session_id text PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX forgotten_at ON @schema@.forgotten (at);

CREATE TABLE @schema@.entries (
    session_id text NOT NULL REFERENCES @schema@.streams ON DELETE CASCADE,
    seq bigint NOT NULL,
    at double precision NOT NULL,
    final boolean NOT NULL,
    recorded boolean NOT NULL,  -- it stays when the tail has passed it
    data bytea NOT NULL,
    PRIMARY KEY (session_id, seq)
);

-- What is held after a number; of what is older than the horizon only the newest. The n-th of the arrays is
-- entry first + n - 1.
CREATE FUNCTION @schema@.tail_of(
    p_session text, p_after bigint, p_horizon double precision,
    OUT epoch text, OUT oldest bigint, OUT top bigint, OUT first bigint,
    OUT finals boolean[], OUT ats double precision[], OUT datas bytea[]
) RETURNS SETOF record LANGUAGE sql STABLE ROWS 1 AS $$
    WITH stream AS MATERIALIZED (
        SELECT s.epoch, s.top, CASE WHEN s.oldest_at >= p_horizon THEN s.oldest ELSE coalesce(
            (SELECT min(e.seq) FROM @schema@.entries AS e
             WHERE e.session_id = p_session AND e.seq >= s.oldest AND e.at >= p_horizon), greatest(s.top, 1))
            END AS held_from
        FROM @schema@.streams AS s WHERE s.session_id = p_session)
    SELECT s.epoch, s.held_from, s.top, e.first, e.finals, e.ats, e.datas
    FROM stream AS s, LATERAL (
        SELECT min(o.seq) AS first, array_agg(o.final ORDER BY o.seq) AS finals,
               array_agg(o.at ORDER BY o.seq) AS ats, array_agg(o.data ORDER BY o.seq) AS datas
        FROM @schema@.entries AS o
        WHERE o.session_id = p_session AND o.seq >= s.held_from AND o.seq > p_after) AS e
$$;

-- Without a gen: a later attach has claimed it.
CREATE FUNCTION @schema@.claim_stream(
    p_session text, p_node text, p_turn bigint, p_epoch text, p_horizon double precision,
    OUT gen bigint, OUT snapshot bytea, OUT previous text, OUT epoch text, OUT oldest bigint, OUT top bigint,
    OUT first bigint, OUT finals boolean[], OUT ats double precision[], OUT datas bytea[]
) LANGUAGE plpgsql AS $$
DECLARE
    kept @schema@.streams;
BEGIN
    LOOP  -- it may be forgotten between the two
        INSERT INTO @schema@.streams AS s (session_id, epoch, gen) VALUES (p_session, p_epoch, 0)
        ON CONFLICT DO NOTHING;
        SELECT * INTO kept FROM @schema@.streams AS s WHERE s.session_id = p_session FOR UPDATE;
        EXIT WHEN FOUND;
    END LOOP;
    IF kept.turn > p_turn THEN
        RETURN;
    END IF;
    DELETE FROM @schema@.forgotten WHERE session_id = p_session;
    UPDATE @schema@.streams AS s SET gen = s.gen + 1, turn = p_turn, node = p_node
    WHERE s.session_id = p_session;
    SELECT t.* INTO epoch, oldest, top, first, finals, ats, datas
    FROM @schema@.tail_of(p_session, 0, p_horizon) AS t;
    gen := kept.gen + 1;
    snapshot := kept.snapshot;
    previous := kept.node;
END $$;

-- For each: 0 done, 1 fenced, 2 gone, 3 misplaced, 4 unknown, 5 reverted. Entries lie one after the other, p_counts for each session.
CREATE FUNCTION @schema@.commit_streams(
    p_sessions text[], p_epochs text[], p_nodes text[], p_gens bigint[], p_snapshots bytea[], p_firsts bigint[], p_counts integer[],
    p_holes boolean[], p_finals boolean[], p_ats double precision[], p_datas bytea[],
    p_events bigint, p_bytes bigint, p_horizon double precision, p_record bigint
) RETURNS integer[] LANGUAGE plpgsql AS $$
DECLARE
    s @schema@.streams;
    went record;
    results integer[] := '{}';
    told text[] := '{}';
    taken integer := 0;
    size integer;
    keeps boolean;
BEGIN
    -- All of them in one order, so that no two batches wait for each other.
    PERFORM FROM @schema@.streams WHERE session_id = ANY (p_sessions) ORDER BY session_id FOR UPDATE;
    FOR i IN 1..cardinality(p_sessions) LOOP
        taken := taken + p_counts[i];
        SELECT * INTO s FROM @schema@.streams WHERE session_id = p_sessions[i] FOR UPDATE;
        IF NOT FOUND THEN
            PERFORM FROM @schema@.forgotten WHERE session_id = p_sessions[i];
            results := results || CASE WHEN FOUND THEN 2 ELSE 4 END;
            CONTINUE;
        ELSIF s.epoch <> p_epochs[i] THEN  -- none is any, as below
            results := results || 1;
            CONTINUE;
        ELSIF s.gen < p_gens[i] THEN
            results := results || 5;
            CONTINUE;
        ELSIF s.gen <> p_gens[i] OR s.node <> p_nodes[i] THEN
            results := results || 1;
            CONTINUE;
        ELSIF p_counts[i] > 0 AND p_firsts[i] <> s.top + 1
              AND NOT (p_holes[i] AND p_firsts[i] > s.top) THEN
            results := results || 3;
            CONTINUE;
        END IF;
        IF p_counts[i] > 0 AND p_holes[i] THEN
            DELETE FROM @schema@.entries AS e
            WHERE e.session_id = s.session_id AND e.seq >= s.oldest AND NOT e.recorded;
            s.top := p_firsts[i] - 1;
            s.oldest := p_firsts[i];
            s.held := 0;
            s.truncated := true;
        END IF;
        FOR n IN taken - p_counts[i] + 1..taken LOOP
            size := octet_length(p_datas[n]);
            s.truncated := s.truncated OR (p_finals[n] AND s.recorded + size > p_record);
            keeps := p_finals[n] AND NOT s.truncated;
            s.top := s.top + 1;
            INSERT INTO @schema@.entries (session_id, seq, at, final, recorded, data)
            VALUES (s.session_id, s.top, p_ats[n], p_finals[n], keeps, p_datas[n]);
            s.held := s.held + size;
            IF s.oldest = s.top THEN
                s.oldest_at := p_ats[n];
            END IF;
            IF keeps THEN
                s.recorded := s.recorded + size;
                s.record_top := s.top;
            END IF;
            WHILE s.oldest < s.top AND (s.top - s.oldest >= p_events OR s.held > p_bytes
                                        OR s.oldest_at < p_horizon) LOOP
                SELECT octet_length(e.data) AS size, e.recorded,
                    (SELECT f.at FROM @schema@.entries AS f
                     WHERE f.session_id = s.session_id AND f.seq = s.oldest + 1) AS next_at
                INTO went FROM @schema@.entries AS e
                WHERE e.session_id = s.session_id AND e.seq = s.oldest;
                IF NOT went.recorded THEN
                    DELETE FROM @schema@.entries AS e WHERE e.session_id = s.session_id AND e.seq = s.oldest;
                END IF;
                s.held := s.held - went.size;
                s.oldest := s.oldest + 1;
                s.oldest_at := went.next_at;
            END LOOP;
        END LOOP;
        UPDATE @schema@.streams AS o
        SET top = s.top, oldest = s.oldest, oldest_at = s.oldest_at, held = s.held,
            recorded = s.recorded, record_top = s.record_top, truncated = s.truncated,
            snapshot = coalesce(p_snapshots[i], o.snapshot)
        WHERE o.session_id = s.session_id;
        results := results || 0;
        IF p_counts[i] > 0 THEN
            told := told || s.session_id;
        END IF;
    END LOOP;
    PERFORM @schema@.ring(told);
    RETURN results;
END $$;

-- Wakes whoever waits for news of these streams; without names, whoever waits for any.
CREATE FUNCTION @schema@.ring(p_sessions text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    names text := array_to_string(p_sessions, E'\n');
BEGIN
    IF cardinality(p_sessions) > 0 THEN
        PERFORM pg_notify('@channel@', CASE WHEN octet_length(names) < 7900 THEN names ELSE '' END);
    END IF;
END $$;

CREATE FUNCTION @schema@.forget_stream(p_session text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM @schema@.streams WHERE session_id = p_session;
    IF FOUND THEN
        INSERT INTO @schema@.forgotten (session_id) VALUES (p_session)
        ON CONFLICT (session_id) DO UPDATE SET at = now();
        DELETE FROM @schema@.forgotten WHERE at < now() - interval '1 hour';
        PERFORM @schema@.ring(ARRAY[p_session]);
    END IF;
END $$;
