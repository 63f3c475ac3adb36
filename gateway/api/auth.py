"""Who is calling, and what of a session's is theirs.

Without keys (open mode) everybody is the same caller and a session's id is the permission. With keys each
request names its namespace by a key; another namespace's session and one that isn't there are the same to it.
Sockets and event streams may be opened with a ticket or a resume token as well, which say nothing about any
other session. A credential comes in a header or as a subprotocol, never in a URL.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Scope

from gateway.api.context import Gateway
from gateway.errors import InvalidKeyHash, Unauthorized
from gateway.sessions.keys import Namespace, is_key
from gateway.sessions.limits import Limits
from gateway.sessions.model import Session
from gateway.sessions.service import Created, NewSession
from gateway.sessions.tickets import Role


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who was let in."""

    namespace_id: str | None = None
    """The tenant whose sessions are theirs; None in open mode."""
    limits: Limits = field(default_factory=Limits)

    @classmethod
    def of(cls, namespace: Namespace) -> "Caller":
        """Whoever has a key of `namespace`."""
        return cls(namespace.id, namespace.limits)


@dataclass(frozen=True, slots=True)
class Presented:
    """The credentials that came with a handshake."""

    ticket: str | None = field(default=None, repr=False)
    """As a subprotocol."""
    bearer: str | None = field(default=None, repr=False)
    """In the `Authorization` header."""

    @property
    def credential(self) -> str | None:
        """The one for a session that is there: clients that can set headers need no subprotocol."""
        return self.ticket if self.ticket is not None else self.bearer


@dataclass(frozen=True, slots=True)
class Entry:
    """Leave to take a place in a session."""

    credential: str | None = field(default=None, repr=False)
    """What the attach is still to be given."""
    by_ticket: bool = False
    """There is no key: whoever comes back needs a ticket again."""


_OPEN = Caller()


async def caller(gateway: Gateway, scope: Scope) -> Caller:
    """Who sent this request.

    Raises:
        Unauthorized: keys are needed, and it has no good one.
    """
    return _OPEN if gateway.keys is None else await by_key(gateway, bearer(scope))


async def session(gateway: Gateway, request: Request, session_id: str | None = None) -> Session:
    """The session of that id, or the one that the path names, if it is the caller's: every route asks here.

    Raises:
        Unauthorized: as `caller`.
        NotFound: there is none, or it is another namespace's: the two can't be told apart.
    """
    who = await caller(gateway, request.scope)
    wanted = session_id if session_id is not None else request.path_params["session_id"]
    return await gateway.service.get(wanted, namespace=who.namespace_id)


async def creator(gateway: Gateway, scope: Scope, given: Mapping[str, Any]) -> Caller:
    """Who wants a new session: the owner of a key, or of the `key_hash` that stands in the body `given`.

    Raises:
        Unauthorized: keys are needed, and neither is there, or they don't agree.
        InvalidKeyHash: it is not the hash of a key of that namespace.
    """
    if gateway.keys is None:
        return _OPEN
    key, key_hash = bearer(scope), given.get("key_hash")
    owner = await by_key(gateway, key) if key is not None or key_hash is None else None
    if key_hash is None:
        assert owner is not None
        return owner
    namespace_id = given.get("namespace_id")
    name = namespace_id if isinstance(namespace_id, str) else ""
    ring = await gateway.keys()
    namespace = ring.by_hash(name, str(key_hash).lower(), gateway.clock.time())
    if namespace is None:
        raise _refused(gateway, InvalidKeyHash())
    if owner is not None and owner.namespace_id != namespace.id:
        raise _refused(gateway, Unauthorized("the two credentials are of different namespaces"))
    return Caller.of(namespace)


async def create(gateway: Gateway, who: Caller, wanted: NewSession) -> Created:
    """Make a session for `who`, in their namespace and within its limits.

    Raises:
        Unauthorized: another namespace was named.
        Problem, LimitExceeded: as `Gateway.create`.
    """
    if who.namespace_id is not None:
        if wanted.namespace_id not in (None, who.namespace_id):
            raise _refused(gateway, Unauthorized("this key is not one of that namespace"))
        wanted = replace(wanted, namespace_id=who.namespace_id)
    return await gateway.create(wanted, who.limits)


async def enter(gateway: Gateway, session_id: str, role: Role, credential: str | None) -> Entry:
    """Leave to take a place in a session. In open mode what was presented is looked at by the attach.

    Raises:
        Unauthorized: a credential is needed, and this one is not good for that session and role, or there is
            no such session.
        NotFound: the key is good, but the session is not its namespace's.
    """
    if gateway.keys is None:
        return Entry(credential)
    if credential is None:
        raise _refused(gateway, Unauthorized("a ticket, a resume token or a key is needed"))
    if is_key(credential):
        who = await by_key(gateway, credential)
        await gateway.service.get(session_id, namespace=who.namespace_id)
        return Entry()
    try:
        return Entry(await gateway.service.prove(session_id, role, credential), by_ticket=True)
    except Unauthorized as refusal:
        raise _refused(gateway, refusal) from None


async def by_key(gateway: Gateway, presented: str | None) -> Caller:
    """Whose key that is; everybody's in open mode.

    Raises:
        Unauthorized: it is no key, or not a good one, or not any more.
    """
    if gateway.keys is None:
        return _OPEN
    ring = await gateway.keys()
    namespace = ring.by_bearer(presented or "", gateway.clock.time())
    if namespace is not None:
        return Caller.of(namespace)
    told = "this key is not good" if presented else "a key is needed, as Authorization: Bearer prefix.secret"
    raise _refused(gateway, Unauthorized(told))


def legacy_namespace(gateway: Gateway) -> str | None:
    """Whose sessions the older routes serve, which know no credentials; None in open mode.

    Raises:
        Unauthorized: keys are needed, and no namespace is set for these routes.
    """
    if gateway.keys is None:
        return None
    if gateway.settings.legacy_namespace is None:
        raise _refused(gateway, Unauthorized("the older routes are shut here; use /api/v1/sessions"))
    return gateway.settings.legacy_namespace


async def legacy(gateway: Gateway) -> Caller:
    """For whom the older routes make sessions, and within which limits.

    Raises:
        Unauthorized: as `legacy_namespace`, or that namespace is not there any more.
    """
    name = legacy_namespace(gateway)
    if gateway.keys is None or name is None:
        return _OPEN
    namespace = (await gateway.keys()).namespaces.get(name)
    if namespace is None:
        raise _refused(gateway, Unauthorized("the older routes are shut here; use /api/v1/sessions"))
    return Caller.of(namespace)


def bearer(scope: Scope) -> str | None:
    """The bearer credential of a request; None where there is none, or more than one."""
    values = Headers(scope=scope).getlist("authorization")
    if len(values) != 1:
        return None
    scheme, _, credential = values[0].partition(" ")
    return credential.strip() or None if scheme.lower() == "bearer" else None


def _refused(gateway: Gateway, refusal: Unauthorized) -> Unauthorized:
    gateway.telemetry.refused(refusal.code)
    return refusal
