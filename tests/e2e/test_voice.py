"""The main job over a real socket: audio in, events out, and an account that adds up."""

import asyncio
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import soxr

from gateway.audio.pcm import Decoder
from protocol.audio import AudioEncoding, AudioFormat
from protocol.client import Client, connect
from protocol.events import (
    Configured,
    DurableEvent,
    Event,
    Flow,
    Flushed,
    Gap,
    GapReason,
    Pong,
    Queue,
    Summary,
    Tone,
    Transcript,
    UnknownEvent,
)
from protocol.version import Encoding
from tests.e2e.audio import HOLD_MUSIC, pcm, recording, speech
from tests.e2e.conftest import GatewayProcess
from tests.signals import dtmf, silence

Seen = list[Event | UnknownEvent]
FAST = {"delivery": "lossless"}


def adds_up(summary: Summary) -> bool:
    """The accounting identity of the protocol, with nothing pending."""
    return (
        summary.next_sample == summary.classified_samples + summary.gap_samples
        and summary.received_samples == summary.next_sample - summary.client_gap_samples
        and summary.pending_samples == 0
    )


async def play(client: Client, data: bytes, frame: int = 3_200) -> tuple[Seen, Summary]:
    """Send `data`, end, and return everything that came."""
    seen: Seen = []

    async def listen() -> None:
        async for event in client:
            seen.append(event)

    listening = asyncio.create_task(listen())
    for start in range(0, len(data), frame):
        await client.send(data[start : start + frame])
    summary = await client.end()
    await listening
    return seen, summary


def stream(
    gateway: GatewayProcess, data: bytes, frame: int = 3_200, **options: object
) -> tuple[Seen, Summary]:
    """One whole session against `gateway`."""

    async def main() -> tuple[Seen, Summary]:
        async with asyncio.timeout(60), connect(gateway.ws_url, **options) as client:  # type: ignore[arg-type]
            return await play(client, data, frame)

    return asyncio.run(main())


def of(seen: Seen, kind: type[Event]) -> list[Event]:
    return [event for event in seen if isinstance(event, kind)]


@pytest.mark.parametrize("encoding", list(Encoding))
def test_speech_gives_tones_and_a_summary_that_adds_up(gateway: GatewayProcess, encoding: Encoding) -> None:
    """A real reader is heard as speech, and every sample is accounted for."""
    samples = speech()
    seen, summary = stream(gateway, pcm(samples), config=FAST, encoding=encoding)
    tones = [event for event in seen if isinstance(event, Tone)]
    assert len(tones) >= len(samples) // 16_000 - 2
    assert all(tone.subtext and tone.affect and tone.valence is None for tone in tones)
    assert summary.received_samples == summary.classified_samples == len(samples)
    assert adds_up(summary)
    assert summary.events["tone"] == len(tones)


def test_durable_events_are_numbered_from_one_without_holes(gateway: GatewayProcess) -> None:
    """A client can tell that it has everything."""
    seen, _ = stream(gateway, pcm(speech()), config=FAST)
    numbers = [event.seq for event in seen if isinstance(event, DurableEvent)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_the_same_audio_in_other_frames_gives_the_same_events(gateway: GatewayProcess) -> None:
    """Frame sizes, odd byte counts included, leave no trace in what is heard."""

    def told(frame: int) -> list[tuple[object, ...]]:
        seen, _ = stream(gateway, pcm(speech()), frame, config=FAST)
        return [
            (event.type, event.seq, event.start_sample, event.end_sample, event.label, event.confidence)
            for event in seen
            if isinstance(event, Tone | Queue)
        ]

    assert told(3_200) == told(1_237) == told(64_000)


def companded(samples: npt.NDArray[np.int16], encoding: AudioEncoding) -> bytes:
    """The G.711 code nearest to each sample."""
    codes = np.arange(256, dtype=np.uint8)
    values = Decoder(AudioFormat(encoding, 8_000)).decode(codes.tobytes()).astype(np.int32)
    order = np.argsort(values, kind="stable")
    edges = (values[order][1:] + values[order][:-1]) // 2
    return codes[order][np.searchsorted(edges, samples)].tobytes()


@pytest.mark.parametrize(
    ("encoding", "rate", "channels"),
    [
        (AudioEncoding.PCM_S16LE, 48_000, 1),
        (AudioEncoding.PCM_S16LE, 44_100, 2),
        (AudioEncoding.PCM_F32LE, 22_050, 1),
        (AudioEncoding.MULAW, 8_000, 1),
        (AudioEncoding.ALAW, 8_000, 1),
    ],
)
def test_every_format_is_heard(
    gateway: GatewayProcess, encoding: AudioEncoding, rate: int, channels: int
) -> None:
    """Speech is speech in any format, and sample indices are those of the client's rate."""

    samples = soxr.resample(speech().astype(np.float32) / 32_768, 16_000, rate).astype(np.float32)
    match encoding:
        case AudioEncoding.PCM_S16LE:
            data = pcm(np.repeat((samples * 32_000).astype(np.int16), channels))
        case AudioEncoding.PCM_F32LE:
            data = samples.astype("<f4").tobytes()
        case _:
            data = companded((samples * 32_000).astype(np.int16), encoding)
    seen, summary = stream(
        gateway, data, 4_000, audio=AudioFormat(encoding, rate, channels), config={**FAST, "hop_ms": 500}
    )
    assert len(of(seen, Tone)) >= 4
    assert summary.received_samples == summary.classified_samples == len(samples)
    assert summary.duration_s == pytest.approx(len(samples) / rate)


def test_hold_music_is_heard_as_hold_music(gateway: GatewayProcess) -> None:
    """Ten seconds of a telephone system's music on hold, and no tone of voice in it."""
    rate, samples = recording(HOLD_MUSIC)
    seen, summary = stream(
        gateway, pcm(samples[: 10 * rate]), audio=AudioFormat(sample_rate=rate), config=FAST
    )
    assert "hold_music" in [event.label for event in seen if isinstance(event, Queue)]
    assert adds_up(summary)


def test_dialled_digits_are_read(gateway: GatewayProcess) -> None:
    """DTMF at ordinary dialling speed gives its digits, in order, once."""
    keys = np.concatenate([silence(0.5), dtmf("0123456789*#ABCD"), silence(1.0)])
    samples = soxr.resample(keys, 16_000, 8_000)
    data = pcm((samples * 32_000).astype(np.int16))
    seen, _ = stream(gateway, data, audio=AudioFormat(sample_rate=8_000), config=FAST)
    assert "".join(event.digits or "" for event in seen if isinstance(event, Queue)) == "0123456789*#ABCD"


def test_the_first_tone_comes_within_two_seconds_of_the_first_word(gateway: GatewayProcess) -> None:
    """In real time, counted on the session's own clock: two windows at most."""
    samples = np.concatenate([np.zeros(8_000, np.int16), speech()])
    seen, _ = stream(gateway, pcm(samples), config=FAST)
    first = next(event for event in seen if isinstance(event, Tone))
    assert first.end_sample <= 8_000 + 2 * 16_000


def test_a_skipped_position_is_a_gap_to_the_sample(gateway: GatewayProcess) -> None:
    """What the client says it did not send is declared, and nothing else."""

    async def main() -> tuple[Seen, Summary]:
        async with connect(gateway.ws_url) as client:
            await client.send(bytes(32_000))
            await client.position(40_001)
            await client.send(bytes(3_200))
            return await play(client, b"")

    seen, summary = asyncio.run(main())
    gaps = [(gap.start_sample, gap.end_sample, gap.reason) for gap in seen if isinstance(gap, Gap)]
    assert gaps == [(16_000, 40_001, GapReason.CLIENT)]
    assert (summary.client_gap_samples, summary.received_samples) == (24_001, 17_600)
    assert adds_up(summary)


def test_a_position_behind_trims_what_the_server_has(gateway: GatewayProcess) -> None:
    """Audio sent twice is counted once."""

    async def main() -> Summary:
        async with connect(gateway.ws_url) as client:
            await client.send(bytes(6_400))
            await client.position(1_600)
            await client.send(bytes(6_400))
            return (await play(client, b""))[1]

    summary = asyncio.run(main())
    assert (summary.next_sample, summary.gap_samples) == (4_800, 0)


def test_replies_come_after_the_events_before_them(gateway: GatewayProcess) -> None:
    """`flushed` follows the flushed window's events, `configured` tells all settings, `pong` repeats `t`."""

    async def main() -> Seen:
        async with connect(gateway.ws_url) as client:
            await client.configure(elcor=True, hop_ms=500)
            await client.ping(t="now")
            for start in range(0, 48_000, 3_200):
                await client.send(pcm(speech())[48_000 + start : 48_000 + start + 3_200])
            await client.flush("a")
            return (await play(client, b""))[0]

    seen = asyncio.run(main())
    configured = next(event for event in seen if isinstance(event, Configured))
    assert (configured.elcor, configured.hop_ms, configured.window_ms) == (True, 500, 1_000)
    assert next(event for event in seen if isinstance(event, Pong)).t == "now"
    flushed = next(index for index, event in enumerate(seen) if isinstance(event, Flushed))
    tones = [index for index, event in enumerate(seen) if isinstance(event, Tone)]
    assert tones
    assert max(tones) < flushed
    last_tone = seen[max(tones)]
    assert isinstance(last_tone, Tone)
    assert last_tone.end_sample == 24_000
    assert last_tone.subtext is not None


def test_lossless_delivery_is_paced_and_loses_nothing(gateway: GatewayProcess) -> None:
    """Half a minute sent as fast as credit allows: the limit rises and no window is given up."""
    data = pcm(np.tile(speech(), 8)[: 16_000 * 32])
    seen, summary = stream(gateway, data, 32_000, config=FAST)
    limits = [flow.limit for flow in seen if isinstance(flow, Flow) and flow.limit is not None]
    assert limits == sorted(limits)
    assert limits[-1] > 160_000
    assert (summary.gap_samples, summary.classified_samples) == (0, len(data) // 2)


def test_words_come_with_revisions(launch: Callable[..., GatewayProcess]) -> None:
    """With PocketSphinx, a real reader's words come as interim and final transcripts."""
    from tests.needs import need_module

    need_module("pocketsphinx")
    running = launch(TRANSCRIBER="pocketsphinx")
    seen, summary = stream(running, pcm(speech()), config=FAST)
    words = [event for event in seen if isinstance(event, Transcript)]
    finals = [event for event in words if event.is_final]
    assert finals
    assert any(len(event.text.split()) >= 3 for event in finals)
    assert adds_up(summary)
    assert running.stop() == 0
    assert not any(event.text in line for event in finals for line in running.log if len(event.text) > 8)
