"""What lies in a backlog, in the order of its samples: audio, what was left out of it, and what was said."""

from collections import deque
from dataclasses import dataclass

from protocol.control import Configure, ControlMessage, Delivery, Flush


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole samples of PCM from index `start` on."""

    start: int
    end: int
    """One past the last sample."""
    pcm: bytes

    @property
    def samples(self) -> int:
        """How many there are."""
        return self.end - self.start

    def between(self, start: int, end: int) -> "Chunk":
        """The part in samples [start, end)."""
        if (start, end) == (self.start, self.end):
            return self
        width = len(self.pcm) // self.samples
        return Chunk(start, end, self.pcm[(start - self.start) * width : (end - self.start) * width])


@dataclass(frozen=True, slots=True)
class Mark:
    """A control message, said when the audio stood at sample `start`."""

    start: int
    message: ControlMessage


@dataclass(frozen=True, slots=True)
class Jump:
    """Samples [start, end) that the user left out."""

    start: int
    end: int
    """One past the last of them."""


@dataclass(frozen=True, slots=True)
class Skip:
    """Samples [start, end) that are not sent; `position` declares them."""

    start: int
    end: int
    lost: int
    """Those among them that the user had not left out."""


Item = Chunk | Jump | Mark


def add(queue: deque[Item], item: Item) -> None:
    """Put it last; jumps without audio between them become one, at the end of what they left out."""
    if isinstance(item, Jump) and queue and isinstance(last := queue[-1], Jump):
        queue.pop()
        item = Jump(item.start - (last.end - last.start), item.end)
    queue.append(item)


def shorten(queue: deque[Item], excess: int) -> int:
    """Drop the oldest samples, `excess` at most; marks and jumps stay. Returns how many went."""
    others: deque[Item] = deque()
    gone = 0
    while queue and gone < excess:
        item = queue.popleft()
        if not isinstance(item, Chunk):
            add(others, item)
            continue
        part = min(item.samples, excess - gone)
        gone += part
        if part < item.samples:
            queue.appendleft(item.between(item.start + part, item.end))
    queue.extendleft(reversed(others))
    return gone


def rest_after(item: Item, sample: int) -> Item | None:
    """What of an item the server may lack that has all audio before `sample`."""
    if isinstance(item, Mark):
        return item
    if item.end <= sample:
        return None
    start = max(item.start, sample)
    return Jump(start, item.end) if isinstance(item, Jump) else item.between(start, item.end)


def says(item: Item, kind: type[ControlMessage]) -> bool:
    """Whether it is a message of that kind."""
    return isinstance(item, Mark) and isinstance(item.message, kind)


def asks_for_lossless(mark: Mark) -> bool:
    """Whether it says that nothing is to be lost from here on."""
    return isinstance(mark.message, Configure) and mark.message.delivery is Delivery.LOSSLESS


def same_id(item: Item, message: Configure | Flush) -> bool:
    """Whether a reply to `message` answers `item`; settings are answered in order, without an id."""
    if isinstance(message, Configure):
        return True
    return isinstance(item, Mark) and isinstance(item.message, Flush) and item.message.id == message.id
