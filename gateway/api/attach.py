"""From a WebSocket's query to a place in a session."""

import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.api import auth
from gateway.api.auth import Presented
from gateway.api.body import (
    asks_for_audio,
    new_session_from_query,
    refuse_settings,
    refuse_unknown_query,
)
from gateway.api.context import Gateway
from gateway.api.events import starting_point
from gateway.errors import STORE_ERRORS, BadDocument, SessionGone, UndertoneError
from gateway.live.flow import BURST_S, REALTIME_FACTOR
from gateway.live.log import EventLog
from gateway.live.pipeline import Pipeline
from gateway.live.reader import Reader
from gateway.live.session import LiveSession, replaced_error
from gateway.sessions.model import Session
from gateway.sessions.shared import Superseded
from gateway.sessions.tickets import Role
from gateway.sessions.wanted import Attached
from protocol import checks
from protocol.audio import AudioFormat
from protocol.close import CloseCode
from protocol.codec import MAX_CONTROL_BYTES
from protocol.control import SessionConfig
from protocol.errors import ErrorCode, ProtocolError, invalid_field
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
    _ends: bool = field(default=False, init=False)
    """Whether its owner has asked for the end."""

    def confirm(self) -> None:
        """The client has spoken, so it has its welcome: the previous resume token is no longer needed."""
        self.live.keep(self.gateway.service.confirm(self.session.id, self.session.attaches))

    def configured(self, config: SessionConfig) -> None:
        """Keep a change of configuration with the session; an owner that was replaced meanwhile is told."""
        self.live.keep(self._configure(config))

    def end(self) -> None:
        """Begin the orderly end; the reader is told when it is reached, or that it has been replaced."""
        self._ends = True
        self.live.keep(self._end())

    async def leave(self) -> None:
        """The socket is gone. A session that lost its owner waits for it to come back."""
        was_owner = self.live.audience.leave(self.reader)
        log.info("left", extra={"session_id": self.session.id, "role": self.role.value})
        self.gateway.live.left(self.live)
        with contextlib.suppress(*STORE_ERRORS, BadDocument):  # the reaper finds out by itself
            if was_owner and not (self._ends or self.live.ending):
                await self.gateway.service.lose(self.session.id, self.session.attaches)
            elif self.role is Role.OBSERVER:
                await self.gateway.service.unobserve(self.session.id)

    async def _configure(self, config: SessionConfig) -> None:
        try:
            await self.gateway.service.configure(self.session.id, config, self.session.attaches)
        except Superseded:
            self.reader.end_with(replaced_error())

    async def _end(self) -> None:
        """Only the store knows who has the session: what it has not agreed to does not begin."""
        try:
            await self.gateway.service.drain(self.session.id, self.session.attaches)
        except Superseded:
            self.reader.end_with(replaced_error())
            return
        except UndertoneError:  # it ends all the same; whoever looks after the store finds out
            log.warning("an end could not be noted", extra={"session_id": self.session.id})
        if self.gateway.live.get(self.session.id) is self.live:  # else it ends where it is live
            self.live.begin_finish()


@dataclass(frozen=True, slots=True)
class Afterword:
    """What is left to tell of a session that has ended: nobody joins it, but its last events can be read."""

    session: Session
    log: EventLog
    reader: Reader
    welcome: Welcome


async def attach(gateway: Gateway, query: Mapping[str, str], presented: Presented) -> Attachment | Afterword:
    """Find or make the session the query names, and take a place in it.

    A client whose connection was lost between `end` and `summary` comes back to a session that is over: where
    it says what it has (`after`), it is given the rest.

    Raises:
        ProtocolError, UndertoneError: why not; `problems.error_of` makes either fit for the wire.
    """
    refuse_unknown_query(query)
    role = checks.member("role", query.get("role", Role.OWNER), Role)
    resume = _resume_point(query)
    session_id = query.get("session_id")
    if session_id is None:
        if role is not Role.OWNER:
            raise ProtocolError(ErrorCode.INVALID_FIELD, "name the session to observe", param="session_id")
        wanted = new_session_from_query(query)
        owner = await auth.by_key(gateway, presented.bearer)
        created = await auth.create(gateway, owner, wanted)
        session_id, entry = created.session.id, auth.Entry()
    else:
        refuse_settings(query)
        entry = await auth.enter(gateway, session_id, role, presented.credential)
        if asks_for_audio(query):
            _check_format(await gateway.service.get(session_id), query)
    try:
        attached = await gateway.service.attach(session_id, role, credential=entry.credential)
        live = await _place(gateway, attached, role)
    except SessionGone:
        if resume is None:
            raise
        return await _afterword(gateway, session_id, entry.credential, resume)
    session = attached.session
    after, recovered = starting_point(live.log, resume)
    if resume is not None:
        gateway.telemetry.resumed(recovered=recovered)
    reader = Reader(live.log, after, bounded=True)
    if role is Role.OWNER:
        if live.audience.seat_owner(reader, session.attaches):
            live.pipeline.attached()
    else:
        live.audience.observers.add(reader)
    log.info("attached", extra={"session_id": session.id, "role": role.value, "recovered": recovered})
    standing = _Standing.of(live.pipeline)
    welcome = _welcome(gateway, live.log, standing, after, recovered, attached.resume_token)
    attachment = Attachment(gateway, session, live, reader, role, welcome)
    if live.audience.owner is reader and standing.config != session.config:
        attachment.configured(standing.config)  # by the owner before, who was replaced before it was kept
    return attachment


async def _place(gateway: Gateway, attached: Attached, role: Role) -> LiveSession:
    """Where the session is live for that role."""
    if role is Role.OWNER:
        return await gateway.live.take(attached.session, attached.before)
    return await gateway.live.listen(attached.session)


async def _afterword(
    gateway: Gateway, session_id: str, credential: str | None, resume: tuple[str | None, int]
) -> Afterword:
    session = await gateway.service.revisit(session_id, credential)
    event_log = await gateway.live.read(session)
    if event_log is None:
        raise SessionGone(session.status)
    after, recovered = starting_point(event_log, resume)
    reader = Reader(event_log, after)
    reader.finish(CloseCode.NORMAL, "ended")
    next_sample = int((session.summary or {}).get("next_sample", 0))
    standing = _Standing(session.audio, session.config, next_sample, None)
    return Afterword(
        session, event_log, reader, _welcome(gateway, event_log, standing, after, recovered, None)
    )


def _resume_point(query: Mapping[str, str]) -> tuple[str | None, int] | None:
    if "after" not in query:
        return None
    after = checks.decimal("after", query["after"])
    if after > checks.MAX_SAMPLE:
        raise invalid_field("after", f"must be at most {checks.MAX_SAMPLE}")
    return query.get("epoch"), after


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


@dataclass(frozen=True, slots=True)
class _Standing:
    """Where a session's audio stands, for its `welcome`."""

    audio: AudioFormat
    config: SessionConfig
    next_sample: int
    limit: int | None

    @classmethod
    def of(cls, pipeline: Pipeline) -> "_Standing":
        limit = pipeline.credit.limit if pipeline.credit is not None else None
        return cls(pipeline.audio, pipeline.config, pipeline.expected_sample, limit)


def _welcome(
    gateway: Gateway,
    event_log: EventLog,
    standing: _Standing,
    after: int,
    recovered: bool,
    resume_token: str | None,
) -> Welcome:
    settings = gateway.settings
    replays = event_log.committed > after
    return Welcome(
        protocol=PROTOCOL,
        session_id=event_log.session_id,
        epoch=event_log.epoch,
        next_seq=event_log.next_seq,
        next_sample=standing.next_sample,
        recovered=recovered,
        replay_from=after + 1 if replays else None,
        replay_to=event_log.committed if replays else None,
        resume_token=resume_token,
        audio=standing.audio,
        window_ms=standing.config.window_ms,
        hop_ms=standing.config.hop_ms,
        delivery=standing.config.delivery,
        limit=standing.limit,
        limits={
            "max_message_bytes": settings.max_message_bytes,
            "max_control_bytes": MAX_CONTROL_BYTES,
            "realtime_factor": REALTIME_FACTOR,
            "burst_s": BURST_S,
            "log_events": settings.event_log_events,
            "detached_s": settings.session_detached_ttl_s,
            "closed_s": settings.closed_retention_s,
        },
        heartbeat_s=settings.heartbeat_s,
    )
