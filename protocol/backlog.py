"""What a client has to say, and what it may have to say again: its recent audio and its unanswered controls.

Everything lies in one order, at sample indices. `take` yields what goes onto the wire next; after the socket
was lost, `rewind` puts back what the server has not got. Nothing is sent again that the server has, what is
lost from here is declared to it (`position`), and memory is bounded by some seconds of audio.

What becomes of audio beyond that bound is up to the delivery. Lossless, which holds from the moment it is
asked for, there is no `room` until the server has confirmed some. Realtime, the oldest falls out, and no more
is under way than `ahead`: a network that stalls would keep it, and deliver it all at once, as a flood.

`flow.received` confirms, but it comes only while windows move, and a client that waits for it while the
server waits for a whole window would wait for ever. So a `ping` goes out after half of what may be
unconfirmed: the server takes messages in order, and its `pong` confirms all audio that was sent before.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import fields

from protocol.audio import AudioFormat
from protocol.control import Ack, Configure, ControlMessage, Delivery, End, Flush, Ping, Position
from protocol.errors import ErrorCode
from protocol.events import Configured, Drain, Error, Event, Flow, Flushed, Pong, UnknownEvent
from protocol.outgoing import (
    Chunk,
    Item,
    Jump,
    Mark,
    Skip,
    add,
    asks_for_lossless,
    rest_after,
    same_id,
    says,
    shorten,
)

BACKLOG_S = 5.0
"""Seconds of audio that are kept for a server that lost its socket."""

_PROBE = "undertone.backlog:"
"""Begins the `t` of the pings that are the backlog's own."""
_SETTINGS = frozenset(one.name for one in fields(Configure))


class Backlog:
    """The outgoing half of a session, across sockets.

    Args:
        audio: the session's format.
        next_sample: where the client begins.
        seconds: of audio kept, sent or not; 0 keeps only what is not sent yet, without a bound.
    """

    def __init__(self, audio: AudioFormat, next_sample: int, *, seconds: float = BACKLOG_S) -> None:
        self.audio = audio
        self._width = audio.bytes_per_sample
        self._capacity = int(seconds * audio.sample_rate)
        self._kept: deque[Item] = deque()
        self._sent: deque[Item] = deque()
        self._unsent: deque[Item] = deque()
        self._urgent: deque[ControlMessage] = deque()
        self._kept_samples = self._held_samples = 0
        self._partial = b""
        self._overlap = 0
        self._confirmed = next_sample
        self._skips: list[Skip] = []
        self._lost_before = 0
        self._probe: int | None = None
        self._draining = False
        self._lossless_asked = False
        self.delivery = Delivery.REALTIME
        self.ahead: int | None = None
        """Realtime: samples that may be under way; None: any number."""
        self.next_sample = next_sample
        """Index of the next sample to be appended."""
        self.wire = next_sample
        """Index of the next sample to be sent on the socket of the moment."""

    # What is said --------------------------------------------------------------------------------------

    @property
    def room(self) -> int | None:
        """Samples that can be appended without losing any that the server may lack; None: any number."""
        if not self._paced:
            return None
        return self._capacity - (self._held_samples - self._kept_samples)

    @property
    def unanswered(self) -> int:
        """`flush` and `configure` that have no answer yet."""
        return sum(
            isinstance(one, Mark) and isinstance(one.message, Flush | Configure) for one in self._all()
        )

    @property
    def lost_samples(self) -> int:
        """Samples that were let go before the server had them."""
        return self._lost_before + sum(one.lost for one in self._skips)

    @property
    def all_sent(self) -> bool:
        """Whether nothing is left to be taken before the server confirms something."""
        return not self._urgent and (not self._unsent or self._is_far_ahead)

    def append(self, pcm: bytes) -> None:
        """More PCM, cut anywhere. Bytes of an unfinished sample wait for the rest of it."""
        pcm = self._partial + pcm if self._partial else pcm
        samples = len(pcm) // self._width
        self._partial = pcm[samples * self._width :]
        known = min(self._overlap, samples)
        self._overlap -= known
        if samples > known:
            end = self.next_sample + samples - known
            self._unsent.append(
                Chunk(self.next_sample, end, pcm[known * self._width : samples * self._width])
            )
            self.next_sample = end
            self._held_samples += samples - known
            self._evict()

    def jump(self, sample: int) -> None:
        """The next PCM has index `sample`. Where that lies behind, what was said already is passed over.

        Bytes of an unfinished sample are dropped: no rest of it can come.
        """
        self._partial = b""
        self._overlap = max(0, self.next_sample - sample)
        if sample > self.next_sample:
            add(self._unsent, Jump(self.next_sample, sample))
            self.next_sample = sample

    def say(self, message: ControlMessage) -> None:
        """A control message at this point of the audio. `end`, `configure` and `flush` are said again after a
        resume until answered; `ping` and `ack` are of the moment: they wait for nothing, and of several `ack`
        not sent yet only the newest is."""
        if isinstance(message, Ping | Ack):
            if isinstance(message, Ack):
                self._urgent = deque(one for one in self._urgent if not isinstance(one, Ack))
            self._urgent.append(message)
            return
        if isinstance(message, End):
            self._partial = b""
        self._unsent.append(Mark(self.next_sample, message))
        if isinstance(message, Configure):
            self._look_for_lossless()

    # What goes onto the wire ---------------------------------------------------------------------------

    def take(self, limit: int | None = None, most: int | None = None) -> bytes | ControlMessage | None:
        """What is to be sent next, taken for sent; None where nothing is, or where it has to wait.

        Where audio has to wait, what is not there any more is not declared either: more of it may follow.

        Args:
            limit: sample index up to which audio may be sent.
            most: samples of audio in one message; 0 where none may go now.
        """
        if self._probe is None and self._is_unsure:
            self._probe = self.wire
            return Ping(f"{_PROBE}{self.wire}")
        if self._urgent:
            return self._urgent.popleft()
        if not self._unsent:
            return None
        skip = self._next_skip()
        if skip.end > self.wire:
            return None if most == 0 or self._is_far_ahead else self._declared(skip)
        item = self._unsent[0]
        if isinstance(item, Chunk):
            return self._take_audio(item, limit, most)
        assert isinstance(item, Mark), "what was left out is behind the wire"
        self._remember(self._unsent.popleft())
        return item.message

    # What the server says ------------------------------------------------------------------------------

    def heard(self, event: Event | UnknownEvent) -> bool:
        """Learn from an event what the server has. False where the event answers what only this asked."""
        match event:
            case Flow():
                self._confirm(event.received)
            case Configured():
                self.delivery = event.delivery
                self._answered(Configure())
            case Error(code=ErrorCode.INVALID_FIELD, fatal=False) if event.param in _SETTINGS:
                self._answered(Configure())
            case Flushed():
                self._answered(Flush(event.id))
            case Drain():
                self._draining = True  # from here on the node answers, but takes no audio in
            case Pong(t=str() as t) if t.startswith(_PROBE):
                if not self._draining and t == f"{_PROBE}{self._probe}":
                    self._confirm(int(t.removeprefix(_PROBE)))
                    self._probe = None
                return False
        return True

    def rewind(self, next_sample: int, *, renumbered: bool = False) -> int:
        """A new socket: the server goes on at `next_sample`, and what it has not got is to be sent again.

        Args:
            next_sample: as `welcome` told.
            renumbered: the server's events begin anew, so nothing said of the old ones holds.

        Returns:
            How many samples the server lacks that are not here any more; `take` declares them.
        """
        again = deque(rest for one in self._all() if (rest := rest_after(one, next_sample)) is not None)
        void = Ping | Ack if renumbered else Ping
        self._urgent = deque(one for one in self._urgent if not isinstance(one, void))
        self._kept, self._sent, self._unsent = deque(), deque(), again
        self._held_samples = sum(one.samples for one in again if isinstance(one, Chunk))
        self._kept_samples = 0
        self._probe, self._draining = None, False
        self._settle_skips(next_sample)
        self._confirmed = self.wire = next_sample
        self.next_sample = max(self.next_sample, next_sample)
        lost = self._next_skip().lost
        self._skips = [Skip(next_sample, next_sample, lost)] if lost else []
        return lost

    # Inside --------------------------------------------------------------------------------------------

    @property
    def _paced(self) -> bool:
        return self._capacity > 0 and (self._lossless_asked or self.delivery is Delivery.LOSSLESS)

    @property
    def _under_way(self) -> int:
        """Samples that were sent and may not be there yet."""
        return self.wire - self._confirmed - sum(one.end - one.start for one in self._skips)

    @property
    def _is_unsure(self) -> bool:
        """Whether half of what may be unconfirmed is."""
        bounds = [self._capacity] if self._paced else []
        if self.delivery is Delivery.REALTIME and self.ahead is not None:
            bounds.append(self.ahead)
        return bool(bounds) and self._under_way > min(bounds) // 2

    @property
    def _is_far_ahead(self) -> bool:
        """Whether so much is under way that nothing may be added."""
        realtime = self.delivery is Delivery.REALTIME
        return realtime and self.ahead is not None and self._under_way >= self.ahead

    def _next_skip(self) -> Skip:
        """What lies between the wire and that which is there to be sent."""
        at, lost = self.wire, 0
        for item in self._unsent:
            lost += max(0, item.start - at)
            at = max(at, item.start)
            if not isinstance(item, Jump):
                break
            at = max(at, item.end)
        return Skip(self.wire, at, lost)

    def _declared(self, skip: Skip) -> Position:
        while self._unsent and isinstance(self._unsent[0], Jump):
            self._remember(self._unsent.popleft())
        self._skips = [one for one in self._skips if one.start < skip.start]
        self._skips.append(skip)
        self.wire = skip.end
        return Position(skip.end)

    def _settle_skips(self, sample: int) -> None:
        """The server has all before `sample`."""
        self._lost_before += sum(one.lost for one in self._skips if one.start < sample)
        self._skips = [one for one in self._skips if one.start >= sample]

    def _look_for_lossless(self) -> None:
        """Whether any `configure` without an answer asks for it."""
        self._lossless_asked = any(isinstance(one, Mark) and asks_for_lossless(one) for one in self._all())

    def _all(self) -> Iterator[Item]:
        yield from self._kept
        yield from self._sent
        yield from self._unsent

    def _take_audio(self, chunk: Chunk, limit: int | None, most: int | None) -> bytes | None:
        end = chunk.end if limit is None else min(chunk.end, limit)
        if most is not None:
            end = min(end, chunk.start + most)
        if self.delivery is Delivery.REALTIME and self.ahead is not None:
            end = min(end, chunk.start + self.ahead - self._under_way)
        if end <= chunk.start:
            return None
        self._unsent.popleft()
        if end < chunk.end:
            self._unsent.appendleft(chunk.between(end, chunk.end))
        now = chunk.between(chunk.start, end)
        self.wire = end
        self._remember(now)
        return now.pcm

    def _remember(self, item: Item) -> None:
        """Keep what was sent, in case the server turns out not to have it."""
        if self._capacity:
            add(self._sent, item)
        elif isinstance(item, Chunk):
            self._held_samples -= item.samples

    def _confirm(self, sample: int) -> None:
        """The server has all audio before `sample`. It stays here all the same as long as there is room:
        another node may have to go on from an earlier one."""
        self._confirmed = max(self._confirmed, min(sample, self.wire))
        self._settle_skips(self._confirmed)
        while self._sent and self._sent[0].start < self._confirmed:
            item = self._sent.popleft()
            if isinstance(item, Chunk):
                if item.end > self._confirmed:
                    self._sent.appendleft(item.between(self._confirmed, item.end))
                    item = item.between(item.start, self._confirmed)
                self._kept_samples += item.samples
            add(self._kept, item)
        self._evict()

    def _evict(self) -> None:
        """Let the oldest audio beyond the bound go; where nothing may be lost, only what is confirmed."""
        excess = self._held_samples - self._capacity if self._capacity else 0
        if self._paced:
            excess = min(excess, self._kept_samples)
        for queue in (self._kept, self._sent, self._unsent):
            if excess <= 0:
                return
            gone = shorten(queue, excess)
            excess -= gone
            self._held_samples -= gone
            if queue is self._kept:
                self._kept_samples -= gone

    def _answered(self, message: Configure | Flush) -> None:
        """The oldest such message that was sent needs no repetition."""
        for queue in (self._kept, self._sent):
            for item in queue:
                if says(item, type(message)) and same_id(item, message):
                    queue.remove(item)
                    self._look_for_lossless()
                    return
