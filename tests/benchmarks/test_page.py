"""The page's benchmark feeds it what a gateway would say."""

from benchmarks.page import HOUR_S, RATE, events
from protocol.codec import decode_event, encode_event
from protocol.events import Tone, Transcript
from protocol.version import Encoding


def test_an_hour_is_told_without_a_hole() -> None:
    """Numbers follow one another across batches, windows begin half a second apart, and every event can be
    said."""
    told = [*events("s", 0, 20, 1)]
    told += events("s", 20, HOUR_S, len(told) + 1)
    assert [getattr(one, "seq", None) for one in told] == list(range(1, len(told) + 1))
    tones = [one for one in told if isinstance(one, Tone)]
    assert [one.start_sample for one in tones] == [hop * RATE // 2 for hop in range(2 * HOUR_S - 1)]
    finals = [one for one in told if isinstance(one, Transcript) and one.is_final]
    assert len(finals) == HOUR_S // 4
    for one in told[:40]:
        assert decode_event(encode_event(one, Encoding.MSGPACK), Encoding.MSGPACK) == one
