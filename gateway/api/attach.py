"""From a WebSocket's query to a place in a session."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from gateway.api.body import (
    asks_for_audio,
    new_session_from_query,
    refuse_settings,
    refuse_unknown_query,
)
from gateway.api.context import Gateway
from gateway.api.events import starting_point
from gateway.api.problems import from_error
from gateway.errors import UndertoneError
from gateway.live.flow import BURST_S, REALTIME_FACTOR
from gateway.live.reader import Reader
from gateway.live.session import LiveSession
from gateway.sessions.model import Session
from gateway.sessions.tickets import Role
from protocol import checks
from protocol.audio import AudioFormat
from protocol.codec import MAX_CONTROL_BYTES
from protocol.control import SessionConfig
from protocol.errors import ErrorCode, ProtocolError
from protocol.events import Welcome
from protocol.version import PROTOCOL

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Attachment:
    """One socket's hold on a session."""

    gateway: Gateway
    session: Session
    live: LiveSession
    reader: Reader
    role: Role
    welcome: Welcome
    """To be said before anything is heard."""

    async def confirm(self) -> None:
        """The client has spoken, so it has its welcome: the previous resume token is no longer needed."""
        await self.gateway.service.confirm(self.session.id, self.session.attaches)

    def configured(self, config: SessionConfig) -> None:
        """Keep a change of configuration with the session."""
        self.live.keep(self.gateway.service.configure(self.session.id, config))

    def end(self) -> None:
        """Begin the orderly end; the reader is told when it is reached."""
        self.live.keep(self.gateway.service.drain(self.session.id))
        self.live.begin_finish()

    async def leave(self) -> None:
        """The socket is gone. A session that lost its owner waits for it to come back."""
        was_owner = self.live.audience.leave(self.reader)
        log.info("left", extra={"session_id": self.session.id, "role": self.role.value})
        if was_owner and not self.live.ending:
            await self.gateway.service.lose(self.session.id, self.session.attaches)
        elif self.role is Role.OBSERVER:
            await self.gateway.service.unobserve(self.session.id)


async def attach(gateway: Gateway, query: Mapping[str, str], credential: str | None) -> Attachment:
    """Find or make the session the query names, and take a place in it.

    Raises:
        ProtocolError, UndertoneError: why not; `error_of` makes either fit for the wire.
    """
    refuse_unknown_query(query)
    role = checks.member("role", query.get("role", Role.OWNER), Role)
    resume = _resume_point(query)
    session_id = query.get("session_id")
    if session_id is None:
        if role is not Role.OWNER:
            raise ProtocolError(ErrorCode.INVALID_FIELD, "name the session to observe", param="session_id")
        created = await gateway.service.create(new_session_from_query(query))
        session_id, credential = created.session.id, None
    else:
        refuse_settings(query)
        if asks_for_audio(query):
            _check_format(await gateway.service.get(session_id), query)
    attached = await gateway.service.attach(session_id, role, credential=credential)
    session = attached.session
    live = gateway.live.open(session)
    after, recovered = starting_point(live.log, resume)
    reader = Reader(live.log, after)
    if role is Role.OWNER:
        live.audience.seat_owner(reader)
        live.pipeline.attached()
    else:
        live.audience.observers.add(reader)
    log.info("attached", extra={"session_id": session.id, "role": role.value, "recovered": recovered})
    welcome = _welcome(gateway, live, after, recovered, attached.resume_token)
    return Attachment(gateway, session, live, reader, role, welcome)


def error_of(error: Exception) -> ProtocolError:
    """`error` as the fatal error that a socket is told."""
    if isinstance(error, ProtocolError):
        return ProtocolError(error.code, error.message, param=error.param, fatal=True)
    if isinstance(error, UndertoneError) and error.code in set(ErrorCode):
        return ProtocolError(ErrorCode(error.code), str(error), fatal=True)
    problem = from_error(error)
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ProtocolError(ErrorCode.INTERNAL, problem.detail, fatal=True)
    return ProtocolError(ErrorCode.OVERLOADED, problem.detail, fatal=True)


def _resume_point(query: Mapping[str, str]) -> tuple[str | None, int] | None:
    if "after" not in query:
        return None
    return query.get("epoch"), checks.decimal("after", query["after"])


def _check_format(session: Session, query: Mapping[str, str]) -> None:
    """A client that names a format means it: PCM in another one would be noise."""
    asked = AudioFormat.from_query({**_text(session.audio), **query})
    if asked != session.audio:
        raise ProtocolError(
            ErrorCode.UNSUPPORTED_AUDIO,
            f"this session takes {session.audio.encoding} at {session.audio.sample_rate} Hz, "
            f"{session.audio.channels} channel(s)",
        )


def _text(audio: AudioFormat) -> dict[str, str]:
    return {name: str(value) for name, value in audio.to_dict().items()}


def _welcome(
    gateway: Gateway, live: LiveSession, after: int, recovered: bool, resume_token: str | None
) -> Welcome:
    pipeline, event_log, settings = live.pipeline, live.log, gateway.settings
    replays = event_log.committed > after
    return Welcome(
        protocol=PROTOCOL,
        session_id=live.session_id,
        epoch=event_log.epoch,
        next_seq=event_log.next_seq,
        next_sample=pipeline.ledger.next_sample,
        recovered=recovered,
        replay_from=after + 1 if replays else None,
        replay_to=event_log.committed if replays else None,
        resume_token=resume_token,
        audio=pipeline.audio,
        window_ms=pipeline.config.window_ms,
        hop_ms=pipeline.config.hop_ms,
        delivery=pipeline.config.delivery,
        limit=pipeline.credit.limit if pipeline.credit is not None else None,
        limits={
            "max_message_bytes": settings.max_message_bytes,
            "max_control_bytes": MAX_CONTROL_BYTES,
            "realtime_factor": REALTIME_FACTOR,
            "burst_s": BURST_S,
            "log_events": settings.event_log_events,
            "detached_s": settings.session_detached_ttl_s,
        },
        heartbeat_s=settings.heartbeat_s,
    )
