-- Tickets of tasks: what is made of a session, by which node, and how far it is. Nothing that anybody said.

CREATE TABLE @schema@.task_tickets (
    task_id text PRIMARY KEY,
    session_id text NOT NULL REFERENCES @schema@.sessions ON DELETE CASCADE,
    place bigint GENERATED ALWAYS AS IDENTITY,  -- the order in which they came
    fixed text NOT NULL,  -- JSON: what never changes
    state text NOT NULL,
    node text NOT NULL,
    updated_at double precision NOT NULL,
    error_message text
) WITH (fillfactor = 70);
CREATE INDEX task_tickets_of_session ON @schema@.task_tickets (session_id, place);

CREATE FUNCTION @schema@.take_task(
    p_task text, p_session text, p_fixed text, p_state text, p_node text, p_updated double precision,
    p_at_most bigint
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    surplus bigint;
BEGIN
    -- Whoever takes on a task of the same session waits: who counts must see what is counted.
    PERFORM FROM @schema@.sessions
    WHERE id = p_session AND deleted_at IS NULL AND document IS NOT NULL FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN 'gone';
    END IF;
    SELECT count(*) - p_at_most + 1 INTO surplus FROM @schema@.task_tickets WHERE session_id = p_session;
    IF surplus > (SELECT count(*) FROM @schema@.task_tickets
                  WHERE session_id = p_session AND state IN ('failed', 'cancelled')) THEN
        RETURN 'full';
    END IF;
    DELETE FROM @schema@.task_tickets WHERE task_id IN (
        SELECT task_id FROM @schema@.task_tickets
        WHERE session_id = p_session AND state IN ('failed', 'cancelled')
        ORDER BY place LIMIT greatest(surplus, 0));
    INSERT INTO @schema@.task_tickets (task_id, session_id, fixed, state, node, updated_at)
    VALUES (p_task, p_session, p_fixed, p_state, p_node, p_updated);
    RETURN 'done';
END $$;
