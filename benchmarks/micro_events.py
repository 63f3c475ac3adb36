"""One tone event: written in each encoding, and fanned out to many readers of a log.

    python -m benchmarks.micro_events

The baselines do what is usual: `json.dumps` of a dict for each reader.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict

from benchmarks.rows import Row, table
from gateway.clock import SystemClock
from gateway.live.log import EventLog
from gateway.live.reader import Reader
from gateway.sessions.ports import Entry
from gateway.sessions.tail import BoundedTail
from gateway.stores.memory import MemoryEventStore
from protocol.codec import decode_control, decode_event, encode_event
from protocol.events import ShiftDirection, Tone
from protocol.version import Encoding

READERS = 100
EVENTS = 400
REPEATS = 5
DUMPS = "baseline: dataclasses.asdict and json.dumps"
FAN = f"baseline: json.dumps for each of {READERS} readers"


def tone(seq: int = 1) -> Tone:
    """A tone event as full as they come from the acoustic classifier."""
    return Tone(
        seq=seq,
        session_id="0123456789abcdef012345",
        timestamp=float(seq),
        start_sample=(seq - 1) * 16_000,
        end_sample=seq * 16_000,
        label="Animated",
        confidence=0.47,
        speaker_id="Speaker A",
        shift_magnitude=0.31,
        shift_direction=ShiftDirection.ESCALATING,
        affect="lively",
        subtext="Sounds lively, and getting more so.",
        prosody_flags=("loud", "fast"),
        arousal=0.74,
        arousal_delta=0.12,
        trend="rising",
        model="acoustic-1",
        queued_ms=6.2,
        classify_ms=18.4,
    )


def rows() -> list[Row]:
    """Measure everything once; takes some seconds of one core."""
    return [*_codec(), *_fan_out()]


def _codec() -> list[Row]:
    event = tone()
    base = _us(lambda: json.dumps(asdict(event)))
    found = [Row(DUMPS, base, "µs/event")]
    for encoding in Encoding:
        data = encode_event(event, encoding)
        for name, work in (
            (f"encode {encoding}", lambda encoding=encoding: encode_event(event, encoding)),
            (f"decode {encoding}", lambda encoding=encoding, data=data: decode_event(data, encoding)),
        ):
            cost = _us(work)
            found.append(Row(name, cost, "µs/event", DUMPS, cost / base))
    cost = _us(lambda: decode_control('{"type":"ping","t":1700000000.5}'))
    found.append(Row("decode a ping", cost, "µs/message", DUMPS, cost / base))
    return found


def _fan_out() -> list[Row]:
    """CPU for one event to reach one more reader: appended once, taken by each."""
    base = min(_baseline_fan() for _ in range(REPEATS))
    cost = min(_log_fan() for _ in range(REPEATS))
    return [
        Row(FAN, base, "µs/event/reader"),
        Row(f"event log with {READERS} readers", cost, "µs/event/reader", FAN, cost / base),
    ]


def _baseline_fan() -> float:
    event = asdict(tone())
    start = time.process_time()
    for _ in range(EVENTS):
        for _ in range(READERS):
            json.dumps(event)
    return (time.process_time() - start) / EVENTS / READERS * 1e6


def _log_fan() -> float:
    clock = SystemClock()
    log = EventLog("0123456789abcdef012345", MemoryEventStore(clock), clock, BoundedTail(512, 2**20, 120.0))
    readers = [Reader(log, 0) for _ in range(READERS)]
    start = time.process_time()
    for seq in range(1, EVENTS + 1):
        log.append(tone(seq))
        for reader in readers:
            for item in reader.take():
                if isinstance(item, Entry):
                    item.encoded(Encoding.MSGPACK)
    return (time.process_time() - start) / EVENTS / READERS * 1e6


def _us(work: Callable[[], object], times: int = 20_000) -> float:
    """CPU microseconds of one call, the best of some passes."""
    best = float("inf")
    for _ in range(REPEATS):
        start = time.process_time()
        for _ in range(times):
            work()
        best = min(best, (time.process_time() - start) / times * 1e6)
    return best


if __name__ == "__main__":
    print(table(rows()))
