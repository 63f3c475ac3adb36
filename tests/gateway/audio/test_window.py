from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.audio.resample import Resampler
from gateway.audio.ring import Ring, Samples
from gateway.audio.window import Block, Cut, RingOverrunError, WindowCutter, position
from protocol.audio import AudioEncoding, AudioFormat
from protocol.errors import ErrorCode, ProtocolError

RATES = [8_000, 11_025, 16_000, 22_050, 44_100, 48_000]
PLAIN = AudioFormat()

formats = st.builds(AudioFormat, st.sampled_from(AudioEncoding), st.sampled_from(RATES), st.integers(1, 2))


def pcm(samples: Iterable[int] | Samples) -> bytes:
    return np.asarray(samples, "<i2").tobytes()


def noise(fmt: AudioFormat, samples: int, seed: int = 1) -> bytes:
    """Band-limited enough to be audio-like, finite in every encoding."""
    rng = np.random.default_rng(seed)
    count = samples * fmt.channels
    if fmt.encoding is AudioEncoding.PCM_F32LE:
        return rng.uniform(-0.5, 0.5, count).astype("<f4").tobytes()
    if fmt.encoding is AudioEncoding.PCM_S16LE:
        return rng.integers(-9_000, 9_000, count).astype("<i2").tobytes()
    return rng.integers(0, 256, count).astype(np.uint8).tobytes()


def ramp(start: int, stop: int) -> list[int]:
    """Samples that tell their own index (modulo 30,000)."""
    return [i % 30_000 for i in range(start, stop)]


def places(cuts: Iterable[Cut]) -> list[tuple[int, int, int]]:
    return [(cut.start_sample, cut.owned_start, cut.end_sample) for cut in cuts]


@given(formats, st.lists(st.integers(1, 40_000), max_size=10), st.integers(100, 400), st.booleans())
@settings(max_examples=60, deadline=None)
def test_any_split_gives_the_same_windows(
    fmt: AudioFormat, splits: list[int], hop_ms: int, read_late: bool
) -> None:
    """Cuts, their samples and the tap are bit-exact the same for any frames, read at once or later."""
    data = noise(fmt, fmt.sample_rate * 11 // 10)
    edges = sorted({0, len(data), *(s % len(data) for s in splits)})
    frames = [data[a:b] for a, b in pairwise(edges)]

    def hear(frames: list[bytes], late: bool) -> tuple[list[tuple[Cut, list[int]]], list[int]]:
        cutter = WindowCutter(fmt, 400, hop_ms, waiting=20)
        blocks = cutter.tap()
        heard: list[tuple[Cut, list[int]]] = []
        unread: list[Cut] = []
        for frame in frames:
            unread += cutter.feed(frame)
            blocks += cutter.tap()
            if not late:
                heard += [(cut, cutter.samples(cut).tolist()) for cut in unread]
                unread = []
        flushed = cutter.flush()
        unread += [flushed] if flushed else []
        blocks += cutter.tap()
        heard += [(cut, cutter.samples(cut).tolist()) for cut in unread]
        return heard, [int(s) for block in blocks for s in block.samples16k]

    cuts, stream = hear([data], late=False)
    assert hear(frames, read_late) == (cuts, stream)
    assert len(stream) == position(fmt.samples(len(data)), fmt.sample_rate)
    assert cuts[-1][0].end_sample == fmt.samples(len(data))


@pytest.mark.parametrize("rate", RATES)
def test_windows_hold_the_audio_of_their_place(rate: int) -> None:
    """A window's samples are those of the whole stream resampled, but for its last provisional ones."""
    fmt = AudioFormat(sample_rate=rate)
    t = np.arange(rate * 3) / rate
    voice = np.rint(9_000 * np.sin(2 * np.pi * 440 * t) * np.sin(3 * t)).astype(np.int16)
    truth = Resampler(rate).feed(np.concatenate((voice, np.zeros(rate, np.int16)))).astype(int)
    cutter = WindowCutter(fmt, 1_000, 333, waiting=2)
    cuts = [(cut, cutter.samples(cut)) for cut in cutter.feed(pcm(voice))[-3:]]
    for cut, samples in cuts:
        assert len(samples) == 16_000
        wanted = truth[cut.position16k_start : cut.position16k_stop]
        assert np.abs(samples[:-200].astype(int) - wanted[:-200]).max() <= 2
        assert np.abs(samples.astype(int) - wanted).max() <= (0 if rate == 16_000 else 4_000)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("feed"), st.integers(0, 9_000), st.just(0)),
        st.tuples(st.just("feed"), st.integers(0, 9_000), st.just(0)),
        st.tuples(st.just("flush"), st.just(0), st.just(0)),
        st.tuples(st.just("skip"), st.integers(0, 20_000), st.just(0)),
        st.tuples(st.just("configure"), st.integers(200, 900), st.integers(100, 900)),
    ),
    max_size=25,
)


@given(st.sampled_from(RATES), steps)
@settings(max_examples=120, deadline=None)
def test_every_sample_is_owned_once(rate: int, steps: list[tuple[str, int, int]]) -> None:
    """Whatever is fed, flushed, skipped and configured: owned, skipped and pending samples tile the clock."""
    cutter = WindowCutter(AudioFormat(sample_rate=rate), 300, 200, waiting=2)
    spans: list[tuple[int, int]] = []

    def own(cut: Cut) -> None:
        spans.append((cut.owned_start, cut.end_sample))
        assert cut.start_sample <= cut.owned_start < cut.end_sample
        assert len(cutter.samples(cut)) == cut.samples16k > 0

    for step, a, b in steps:
        before = cutter.next_sample
        if step == "feed":
            for piece in cutter.pieces(bytes(2 * a)):
                for cut in cutter.feed(piece):
                    own(cut)
            assert cutter.next_sample == before + a
        elif step == "configure":
            cutter.configure(max(a, b), min(a, b))
        else:
            flushed = cutter.flush()
            if flushed:
                own(flushed)
            assert cutter.pending == 0
            if step == "skip" and a:
                cutter.skip(before + a)
                spans.append((before, before + a))
        covered = spans[-1][1] if spans else 0
        assert cutter.next_sample - cutter.pending == covered
    assert all(left[1] == right[0] for left, right in pairwise([(0, 0), *spans]))


def test_hop_smaller_than_window_overlaps() -> None:
    """The first window owns all of itself, each later one its last hop, and they overlap by the rest."""
    cutter = WindowCutter(PLAIN, 1_000, 250, waiting=2)
    cuts = cutter.feed(pcm(ramp(0, 24_000)))
    assert places(cuts) == [(0, 0, 16_000), (4_000, 16_000, 20_000), (8_000, 20_000, 24_000)]
    assert cutter.samples(cuts[2]).tolist() == ramp(8_000, 24_000)


def test_an_hour_at_44100_drifts_by_nothing() -> None:
    """An hour of 44.1 kHz at a 333 ms hop: each window ends k hops of 14,685 samples after the first."""
    cutter = WindowCutter(AudioFormat(AudioEncoding.MULAW, 44_100), 1_000, 333, waiting=0)
    cutter.skip(3_599 * 44_100)
    cuts = cutter.feed(b"\xff" * (4 * 44_100))
    first = 3_600 * 44_100
    assert [cut.end_sample for cut in cuts] == [first + k * 14_685 for k in range(10)]
    assert {cut.samples16k for cut in cuts} == {16_000}
    assert [cut.position16k_stop for cut in cuts] == [c.end_sample * 16_000 // 44_100 for c in cuts]


def test_flush_cuts_the_window_short_and_starts_afresh() -> None:
    """A flushed window has what there is; with nothing new there is none; the next is a first window."""
    cutter = WindowCutter(PLAIN, 1_000, 500, waiting=2)
    cuts = cutter.feed(pcm(ramp(0, 18_000)))
    flushed = cutter.flush()
    assert flushed is not None
    assert places([*cuts, flushed]) == [(0, 0, 16_000), (8_000, 16_000, 18_000)]
    assert cutter.samples(flushed).tolist() == ramp(8_000, 18_000)
    assert cutter.flush() is None
    assert places(cutter.feed(pcm(ramp(18_000, 42_000)))) == [
        (18_000, 18_000, 34_000),
        (26_000, 34_000, 42_000),
    ]


@pytest.mark.parametrize("rate", RATES)
def test_what_is_released_is_the_resampler_and_nothing_else(rate: int) -> None:
    """Windows cut before stay readable, the clock stands, and a late flush or skip finds nothing wrong."""
    cutter = WindowCutter(AudioFormat(sample_rate=rate), 1_000, 1_000, waiting=2)
    (cut,) = cutter.feed(pcm(ramp(0, rate + rate // 2)))
    flushed = cutter.flush()
    assert flushed is not None
    cutter.release()
    assert cutter._resampler._stream is None
    assert cutter.next_sample == rate + rate // 2
    assert len(cutter.samples(cut)) == 16_000
    assert len(cutter.samples(flushed)) == flushed.samples16k
    assert cutter.flush() is None
    cutter.skip(2 * rate)
    assert (cutter.flush(), cutter.next_sample) == (None, 2 * rate)


@pytest.mark.parametrize("rate", RATES)
def test_one_sample_can_be_flushed(rate: int) -> None:
    """A window of one client sample is never empty at 16 kHz: at the start, after a flush, after a skip."""
    cutter = WindowCutter(AudioFormat(sample_rate=rate), 200, 100, waiting=2)
    for _ in range(3):
        for value in (500, 500):
            cutter.feed(pcm([value]))
            cut = cutter.flush()
            assert cut is not None
            assert cut.end_sample - cut.owned_start == 1
            assert len(cutter.samples(cut)) == cut.samples16k >= 1
        cutter.skip(cutter.next_sample + 77)


def test_after_a_skip_no_window_reaches_back() -> None:
    """The clock jumps, history is gone, and a cut made before the jump still reads as it was."""
    cutter = WindowCutter(PLAIN, 1_000, 500, waiting=2)
    cutter.feed(pcm(ramp(0, 17_000)))
    before = cutter.flush()
    assert before is not None
    cutter.skip(50_000)
    assert (cutter.next_sample, cutter.pending) == (50_000, 0)
    cuts = cutter.feed(pcm(ramp(50_000, 75_000)))
    assert places(cuts) == [(50_000, 50_000, 66_000), (58_000, 66_000, 74_000)]
    assert cutter.samples(cuts[0]).tolist() == ramp(50_000, 66_000)
    assert cutter.samples(before).tolist() == ramp(8_000, 17_000)
    with pytest.raises(ValueError, match="before"):
        cutter.skip(60_000)


def test_longer_windows_begin_where_held_audio_does() -> None:
    """A longer window in mid-stream starts short, reaches its length, and never shows wrong samples."""
    cutter = WindowCutter(PLAIN, 500, 500, waiting=2)
    cutter.feed(pcm(ramp(0, 10_000)))
    cutter.configure(2_000, 250)
    cuts = []
    for at in range(10_000, 60_000, 1_000):
        for cut in cutter.feed(pcm(ramp(at, at + 1_000))):
            cuts.append(cut)
            assert cutter.samples(cut).tolist() == ramp(cut.start_sample, cut.end_sample)
    assert places(cuts)[:3] == [(8_000, 8_000, 16_000), (8_000, 16_000, 20_000), (8_000, 20_000, 24_000)]
    assert places(cuts)[-1] == (28_000, 56_000, 60_000)


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_cuts_wait_for_their_reader(rate: int) -> None:
    """With two waiting, a cut can be read until three later ones were made; then it says it is gone."""
    cutter = WindowCutter(AudioFormat(sample_rate=rate), 400, 200, waiting=2)
    hop, made = rate // 5, []
    data = noise(AudioFormat(sample_rate=rate), hop * 30)
    at_once = WindowCutter(AudioFormat(sample_rate=rate), 400, 200, waiting=2)
    wanted = []
    for at in range(0, len(data), hop * 2):
        wanted += [at_once.samples(cut).tolist() for cut in at_once.feed(data[at : at + hop * 2])]
        made += cutter.feed(data[at : at + hop * 2])
        if len(made) >= 4:
            assert cutter.samples(made[-4]).tolist() == wanted[-4]
    cutter.feed(data)
    with pytest.raises(RingOverrunError):
        cutter.samples(made[-1])


def test_three_later_cuts_and_most_of_a_hop_leave_it_readable() -> None:
    """With two waiting, the first of four windows is still whole when nearly a fifth has come."""
    cutter = WindowCutter(PLAIN, 400, 200, waiting=2)
    cuts = cutter.feed(pcm(ramp(0, 6_400 + 4 * 3_200 - 1)))
    assert len(cuts) == 4
    assert cutter.samples(cuts[0]).tolist() == ramp(0, 6_400)


def test_the_ring_holds_one_window_and_grows_only_for_waiting_cuts() -> None:
    """32 KiB while windows are read in time, at most the waiting hops more when not, and back again."""
    cutter = WindowCutter(PLAIN, 1_000, 1_000, waiting=2)
    frame = pcm(ramp(0, 1_600))

    def hear(seconds: int, read: bool) -> int:
        largest = 0
        for _ in range(seconds * 10):
            for cut in cutter.feed(frame):
                largest = max(largest, cut.ring.capacity)
                if read:
                    cutter.samples(cut)
        return largest

    calm = hear(20, read=True)
    busy = hear(20, read=False)
    hear(30, read=True)
    after = hear(1, read=True)
    assert calm == after <= 16_000 + 100
    assert 4 * 16_000 <= busy <= 5 * 16_000 + 2_048


def test_a_long_frame_comes_in_pieces() -> None:
    """A frame of many hops is split so that no window is overwritten before it is read."""
    cutter = WindowCutter(PLAIN, 400, 100, waiting=0)
    data = pcm(ramp(0, 29_000))
    pieces = cutter.pieces(data)
    heard = []
    for piece in pieces:
        cuts = cutter.feed(piece)
        assert len(cuts) <= 1
        heard += [cutter.samples(cut).tolist() for cut in cuts]
    assert b"".join(bytes(piece) for piece in pieces) == data
    assert heard == [ramp(at, at + 6_400) for at in range(0, 22_401, 1_600)]
    assert cutter.pieces(data[:3_200]) == (data[:3_200],)


def test_a_bad_float_is_found_before_the_first_piece() -> None:
    """A frame with one NaN far in is refused whole, leaves nothing behind, and can be skipped."""
    fmt = AudioFormat(AudioEncoding.PCM_F32LE)
    cutter = WindowCutter(fmt, 200, 100, waiting=2)
    values = np.zeros(8_000, "<f4")
    values[7_000] = np.nan
    for attempt in (cutter.pieces, cutter.feed):
        with pytest.raises(ProtocolError) as error:
            attempt(values.tobytes())
        assert error.value.code is ErrorCode.INVALID_AUDIO
    assert cutter.next_sample == 0
    assert cutter.unusable(values.tobytes() + b"\0\0\0") == 8_000
    cutter.skip(8_000)
    assert cutter.dangling == 3
    cutter.feed(b"\0")
    assert (cutter.next_sample, cutter.drop_dangling()) == (8_001, 0)


def test_a_file_header_is_refused() -> None:
    """The first frame of a WAV file is a fatal error; the same bytes later are just PCM."""
    cutter = WindowCutter(PLAIN, 1_000, 1_000, waiting=2)
    cutter.refuse_container(pcm(ramp(0, 100)))
    with pytest.raises(ProtocolError) as error:
        cutter.refuse_container(b"RIFF\x24\x08\x00\x00WAVEfmt ")
    assert error.value.code is ErrorCode.UNSUPPORTED_AUDIO
    assert error.value.fatal


def test_a_row_of_a_batch_is_filled_in_place() -> None:
    """`copy_into` fills the front of a longer row and says how much it wrote."""
    cutter = WindowCutter(PLAIN, 200, 200, waiting=2)
    (cut,) = cutter.feed(pcm(ramp(0, 3_200)))
    row = np.full(4_000, -1, np.int16)
    assert cutter.copy_into(cut, row) == 3_200
    assert row[:3_200].tolist() == ramp(0, 3_200)
    assert (row[3_200:] == -1).all()


def test_a_first_window_that_rounds_short_repeats_its_first_sample() -> None:
    """14,685 samples at 44.1 kHz are 5,327.9 at 16 kHz; the window has its 5,328, the first one twice."""
    cutter = WindowCutter(AudioFormat(sample_rate=44_100), 333, 333, waiting=2)
    (cut,) = cutter.feed(pcm([1_000] * 14_685))
    samples = cutter.samples(cut)
    assert (cut.position16k_start, len(samples)) == (-1, 5_328)
    assert samples[0] == samples[1] != 0


def joined(blocks: list[Block]) -> list[int]:
    return [int(sample) for block in blocks for sample in block.samples16k]


def test_the_tap_gives_the_stream_in_aligned_blocks() -> None:
    """Blocks of 100 ms end at multiples of 1,600; a flush lets the short rest go; nothing comes twice."""
    cutter = WindowCutter(PLAIN, 1_000, 500, waiting=2)
    blocks = cutter.tap()
    for at in range(0, 20_000, 1_000):
        cutter.feed(pcm(ramp(at, at + 1_000)))
        blocks += cutter.tap()
    assert [len(block.samples16k) for block in blocks] == [1_600] * 12
    cutter.flush()
    cutter.flush()
    blocks += cutter.tap()
    cutter.feed(pcm(ramp(20_000, 25_000)))
    blocks += cutter.tap()
    assert [len(block.samples16k) for block in blocks[12:]] == [800, 800, 1_600, 1_600]
    assert joined(blocks) == ramp(0, 24_000)


def test_the_tap_misses_nothing_of_a_long_frame() -> None:
    """A frame of ten windows reaches the tap whole, although the windows themselves were given up."""
    cutter = WindowCutter(PLAIN, 200, 200, waiting=0)
    cutter.tap()
    cutter.feed(pcm(ramp(0, 1_000)))
    cutter.tap()
    cutter.feed(pcm(ramp(1_000, 32_000)))
    assert joined(cutter.tap()) == ramp(0, 32_000)


def test_the_tap_jumps_with_the_clock() -> None:
    """After a skip the next block begins at the new place, and the end of what came before isn't lost."""
    cutter = WindowCutter(AudioFormat(sample_rate=48_000), 1_000, 1_000, waiting=2)
    cutter.tap()
    cutter.feed(noise(AudioFormat(), 24_000))
    cutter.flush()
    cutter.skip(481_200)
    cutter.feed(noise(AudioFormat(), 24_000))
    blocks = cutter.tap()
    cutter.flush()
    blocks += cutter.tap()
    starts = [(block.start_sample, block.start16k) for block in blocks]
    assert starts[:6] == [(4_800 * k, 1_600 * k) for k in range(5)] + [(481_200, 160_400)]
    assert blocks[-1].end_sample == 505_200
    assert sum(len(block.samples16k) for block in blocks) == 16_000


def test_a_forgotten_tap_holds_no_more_than_a_frame() -> None:
    """A tap no longer called neither grows the ring nor piles up blocks, and its blocks tell their place."""
    cutter = WindowCutter(PLAIN, 1_000, 1_000, waiting=2)
    cutter.tap()
    rings: set[Ring] = set()
    for at in range(0, 160_000, 1_600):
        for cut in cutter.feed(pcm(ramp(at, at + 1_600))):
            cutter.samples(cut)
            rings.add(cut.ring)
        flushed = cutter.flush() if at % 32_000 == 1_600 else None
        if flushed:
            cutter.samples(flushed)
    assert max(ring.capacity for ring in rings) <= 16_000 + 100
    blocks = cutter.tap()
    assert len(blocks) <= 16 + 11
    for block in blocks:
        assert block.samples16k.tolist() == ramp(block.start16k, block.start16k + len(block.samples16k))
