"""What the audit trail says to PostgreSQL."""

from dataclasses import dataclass

from gateway.stores.postgres.rows import THERE


@dataclass(frozen=True, slots=True)
class AuditSql:
    """Statements for one schema."""

    share: str
    exclude: str
    erased: str
    keep_erased: str
    forget_erased: str
    sessions: str
    places: str
    deleted: str
    snapshots: str
    history: str
    tasks: str
    recover: str
    heartbeat: str
    stale: str
    failed: str
    expired: str
    erase: str
    tickets: str
    streams: str

    @classmethod
    def of(cls, schema: str) -> "AuditSql":
        """`schema` is quoted already."""
        table = f"{schema}.sessions"
        lock = f"(hashtextextended('{schema} erasing', 0))"
        # In one order for all who write, so that no two wait for each other.
        ours = f"ours AS (SELECT id FROM {table} WHERE id = ANY ($1::text[]) ORDER BY id FOR NO KEY UPDATE)"
        older = "now() - make_interval(secs => ${})"
        return cls(
            share=f"SELECT pg_advisory_xact_lock_shared{lock}",
            exclude=f"SELECT pg_advisory_xact_lock{lock}",
            erased=f"SELECT digest FROM {schema}.erased WHERE digest = ANY ($1::bytea[])",
            keep_erased=(
                f"INSERT INTO {schema}.erased (digest) SELECT unnest($1::bytea[]) ON CONFLICT DO NOTHING"
            ),
            forget_erased=f"DELETE FROM {schema}.erased WHERE at < {older.format(1)}",
            sessions=_sessions(table),
            places=(
                f"INSERT INTO {table} (id, version, status, over, created_at, updated_at, heartbeat_at)"
                " SELECT id, 0, 'created', true, now(), now(), now() FROM unnest($1::text[]) AS given(id)"
                " ORDER BY id ON CONFLICT DO NOTHING"
            ),
            deleted=(
                f"WITH {ours},"
                f" useless AS (DELETE FROM {schema}.snapshots WHERE session_id = ANY ($1::text[]))"
                f" UPDATE {table} AS s SET deleted_at = least(s.deleted_at, to_timestamp(g.at)), over = true"
                " FROM ours JOIN unnest($1::text[], $2::float8[]) AS g(id, at) USING (id)"
                " WHERE s.id = ours.id"
            ),
            snapshots=(
                f"INSERT INTO {schema}.snapshots AS k (session_id, gen, seq, snapshot)"
                " SELECT g.* FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bytea[])"
                f" AS g(id, gen, seq, snapshot) JOIN {table} AS s ON s.id = g.id AND s.deleted_at IS NULL"
                " ORDER BY g.id ON CONFLICT (session_id) DO UPDATE"
                " SET gen = EXCLUDED.gen, seq = EXCLUDED.seq, snapshot = EXCLUDED.snapshot, kept_at = now()"
                " WHERE (k.gen, k.seq) < (EXCLUDED.gen, EXCLUDED.seq)"
            ),
            history=(
                f"INSERT INTO {schema}.history (session_id, seq, type, audio_s, data) SELECT *"
                " FROM unnest($1::text[], $2::bigint[], $3::text[], $4::float8[], $5::bytea[])"
                " ON CONFLICT DO NOTHING"
            ),
            tasks=(
                f"INSERT INTO {schema}.tasks AS k (session_id, task_id, task_type, state, at, ended)"
                " SELECT session_id, task_id, task_type, state, to_timestamp(at), ended"
                " FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::float8[], $6::boolean[])"
                " AS g(session_id, task_id, task_type, state, at, ended)"
                " ON CONFLICT (session_id, task_id) DO UPDATE"
                " SET task_type = EXCLUDED.task_type, state = EXCLUDED.state, at = EXCLUDED.at,"
                " ended = EXCLUDED.ended WHERE (k.at, k.ended) < (EXCLUDED.at, EXCLUDED.ended)"
            ),
            recover=(
                f"SELECT s.document, k.gen, k.seq, k.snapshot FROM {table} AS s"
                f" LEFT JOIN {schema}.snapshots AS k ON k.session_id = s.id WHERE s.id = $1 AND {THERE}"
            ),
            heartbeat=(
                f"WITH {ours} UPDATE {table} AS s"
                " SET heartbeat_at = greatest(s.heartbeat_at, to_timestamp($2))"
                " FROM ours WHERE s.id = ours.id AND NOT s.over"
            ),
            stale=(
                "SELECT id, version, document, extract(epoch FROM now())::float8 AS now"
                f" FROM {table} WHERE NOT over AND {THERE} AND heartbeat_at < {older.format(1)}"
                " ORDER BY heartbeat_at LIMIT $2"
            ),
            failed=(
                f"UPDATE {table} AS s SET status = 'failed', over = true, version = s.version + 1,"
                " document = g.document, updated_at = to_timestamp(g.at)"
                " FROM unnest($1::text[], $2::bigint[], $3::text[], $4::float8[])"
                " AS g(id, version, document, at)"
                f" WHERE s.id = g.id AND s.version = g.version AND s.heartbeat_at < {older.format(5)}"
            ),
            expired=(
                f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE over"
                f" AND coalesce(deleted_at, updated_at) < {older.format(1)} LIMIT $2) RETURNING id, document"
            ),
            erase=(
                f"DELETE FROM {table} WHERE coalesce(namespace_id, '\\-') = coalesce($1::text, '\\-')"
                " AND ($2::text IS NULL OR coalesce(user_id, '\\-') = $2) RETURNING id, document"
            ),
            tickets=f"DELETE FROM {schema}.tickets WHERE session_id = ANY ($1::text[])",
            streams=f"DELETE FROM {schema}.streams WHERE session_id = ANY ($1::text[])",
        )


def _sessions(table: str) -> str:
    names = (
        "id, version, namespace_id, user_id, device_type, status, over, node, created_at, updated_at,"
        " document, heartbeat_at"
    )
    return (
        f"INSERT INTO {table} AS s ({names}) SELECT id, version, namespace_id, user_id, device_type, status,"
        " over, node, to_timestamp(created_at), to_timestamp(updated_at), document,"
        " to_timestamp(heartbeat_at) FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[],"
        " $5::text[], $6::text[], $7::boolean[], $8::text[], $9::float8[], $10::float8[],"
        f" $11::text[], $12::float8[]) AS g({names}) ORDER BY id"
        " ON CONFLICT (id) DO UPDATE SET version = EXCLUDED.version,"
        " namespace_id = EXCLUDED.namespace_id, user_id = EXCLUDED.user_id,"
        " device_type = EXCLUDED.device_type,"
        " status = EXCLUDED.status, over = EXCLUDED.over OR s.deleted_at IS NOT NULL, node = EXCLUDED.node,"
        " created_at = EXCLUDED.created_at, updated_at = EXCLUDED.updated_at, document = EXCLUDED.document,"
        " heartbeat_at = CASE WHEN s.document IS NULL THEN EXCLUDED.heartbeat_at"
        " ELSE greatest(s.heartbeat_at, EXCLUDED.heartbeat_at) END"
        " WHERE s.version < EXCLUDED.version OR s.document IS NULL"
    )
