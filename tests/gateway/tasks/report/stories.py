"""Stories to report on, made by hand: a call, a day, and sessions in which little happened."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any

from gateway.tasks.story import Story
from protocol.audio import AudioFormat
from protocol.control import SessionConfig
from protocol.events import (
    DurableEvent,
    Gap,
    GapReason,
    Queue,
    QueueLabel,
    Service,
    ServiceStatus,
    ShiftDirection,
    Speaker,
    SpeakerLabel,
    Summary,
    Tone,
    Transcript,
)

ID = "Zx81Qp-Secret_Remains_K"
RATE = 16_000
BEGUN = 1_790_000_000.0
"""21 September 2026, 14:13:20 UTC."""
SPOKEN = (
    ("Good morning, you are speaking to the service desk.", "Good morning. My order has not arrived."),
    ("I am sorry to hear that. May I have the number?", "I have given it twice already. Twice!"),
    ("Thank you. I see it now: it left our house on Monday.", "Then where is it?"),
    ("With the carrier. I will call them while you hold the line.", "Fine. Please do hurry."),
    ("It comes tomorrow before noon, and we return the postage.", "Oh, that is kind. Thank you."),
)


def counts(next_sample: int, gap: int = 0, client_gap: int = 0, pending: int = 0) -> dict[str, int]:
    """Statistics that balance."""
    return {
        "message_count": 12,
        "next_sample": next_sample,
        "classified_samples": next_sample - gap - pending,
        "gap_samples": gap,
        "client_gap_samples": client_gap,
        "received_samples": next_sample - client_gap,
        "pending_samples": pending,
    }


def story(
    events: Sequence[DurableEvent] = (),
    of: Mapping[str, int] | None = None,
    *,
    config: SessionConfig | None = None,
    **changes: Any,
) -> Story:
    """A story, closed in order unless `changes` say otherwise."""
    given = {
        "session_id": ID,
        "created_at": BEGUN,
        "audio": AudioFormat(),
        "config": config or SessionConfig(),
        "status": "closed",
        "counts": counts(0) if of is None else of,
        "events": tuple(events),
    }
    return Story(**{**given, **changes})


def at(start_s: float, end_s: float) -> dict[str, Any]:
    """The place of an event."""
    start, end = round(start_s * RATE), round(end_s * RATE)
    return {"seq": 1, "session_id": ID, "timestamp": end_s, "start_sample": start, "end_sample": end}


def tone(start_s: float, label: str = "Calm", confidence: float = 0.4, **more: Any) -> Tone:
    """One second of a tone."""
    return Tone(**(at(start_s, start_s + 1) | {"label": label, "confidence": confidence} | more))


def said(start_s: float, end_s: float, text: str, speaker: str | None = None, **more: Any) -> Transcript:
    """A final transcript."""
    return Transcript(
        **(at(start_s, end_s) | {"text": text, "speaker_id": speaker, "is_final": True, "revision": 1} | more)
    )


def gap(start_s: float, end_s: float, reason: GapReason = GapReason.OVERLOAD) -> Gap:
    """What was not analysed."""
    return Gap(**at(start_s, end_s), reason=reason)


def queue(start_s: float, end_s: float, label: QueueLabel, **more: Any) -> Queue:
    """A state of the call."""
    return Queue(**(at(start_s, end_s) | {"label": label, "confidence": 0.8} | more))


def speaker(start_s: float, who: str | None, label: SpeakerLabel = SpeakerLabel.HUMAN_SINGLE) -> Speaker:
    """Somebody is heard from here on."""
    return Speaker(**at(start_s, start_s + 1), label=label, speaker_id=who, confidence=0.6)


def call() -> Story:
    """A call of a little over two minutes: ringing, two people, hold music, a gap, a friendly end."""
    chance = Random(7)
    events: list[DurableEvent] = [
        queue(0, 1, QueueLabel.RINGBACK),
        queue(4, 5, QueueLabel.RINGBACK),
        Service(seq=1, session_id=ID, timestamp=6.0, status=ServiceStatus.WARNING, detail="words are late"),
    ]
    clock = 6.0
    for number, lines in enumerate(SPOKEN):
        for who, text in zip(("Speaker A", "Speaker B"), lines, strict=True):
            events.append(speaker(clock, who))
            seconds = max(2, len(text) // 9)
            for second in range(seconds):
                heated = who == "Speaker B" and number in (1, 2, 3)
                label = chance.choice(("Tense", "Animated", "Tense") if heated else ("Calm", "Neutral"))
                moved = heated and second == 1
                events.append(
                    tone(
                        clock + second,
                        label,
                        chance.uniform(0.1, 0.6),
                        speaker_id=who,
                        shift_direction=ShiftDirection.ESCALATING if moved else ShiftDirection.STABLE,
                        shift_magnitude=0.3 + number / 20 if moved else 0.05,
                        subtext=f"Sounds {label.lower()}.",
                        model="acoustic-1",
                        queued_ms=chance.uniform(1, 9),
                        classify_ms=chance.uniform(4, 20),
                    )
                )
            confidence = chance.uniform(0.4, 0.9)
            events.append(said(clock, clock + seconds, text, who, language="en", confidence=confidence))
            clock += seconds + 0.5
        if number == 3:
            for repeat in range(3):
                start = clock + 10 * repeat
                events.append(queue(start, start + 1, QueueLabel.HOLD_MUSIC))
            events.append(gap(clock + 22, clock + 24.5))
            clock += 25
    events.append(gap(clock, clock + 1.25, GapReason.CLIENT))
    events.append(queue(clock + 1.25, clock + 2, QueueLabel.DTMF_TONE, digits="4711"))
    end = round((clock + 2) * RATE)
    return story(_numbered(events), counts(end, round(3.75 * RATE), round(1.25 * RATE)))


def day(hours: int = 24, words: int = 4) -> Story:
    """A day of talk: a tone every other second, an utterance every ten."""
    chance = Random(11)
    labels = (
        "Calm",
        "Neutral",
        "Animated",
        "Tense",
        "Subdued",
        "Warm",
        "Frustrated",
        "Sad",
        "Odd",
        "Glad",
        "X",
    )
    events: list[DurableEvent] = []
    for second in range(0, hours * 3_600, 2):
        who = f"Speaker {'ABCDEFGHIJ'[second // 7 % 10]}"
        direction = chance.choice((None, ShiftDirection.ESCALATING, ShiftDirection.DE_ESCALATING))
        events.append(
            tone(
                second,
                labels[min(10, int(chance.expovariate(0.5)))],
                chance.random(),
                speaker_id=who,
                shift_direction=direction,
                shift_magnitude=chance.random(),
                queued_ms=chance.uniform(0, 50),
                classify_ms=chance.uniform(1, 20),
            )
        )
        if second % 10 == 4:
            events.append(said(second - 4, second + 1, "word " * words, who, language="en-GB"))
        if second % 90 == 0:
            events.append(gap(second + 0.5, second + 0.6, chance.choice(tuple(GapReason))))
            events.append(queue(second + 0.2, second + 0.7, chance.choice(tuple(QueueLabel))))
    end = hours * 3_600 * RATE
    return story(_numbered(events), counts(end, hours * 40 * RATE // 10))


def quiet() -> Story:
    """Half a minute in which nobody spoke."""
    end = 30 * RATE
    last = Summary(
        seq=1,
        session_id=ID,
        timestamp=30.0,
        record_truncated=False,
        duration_s=30.0,
        **{name: number for name, number in counts(end).items() if name != "message_count"},
        events={"summary": 1},
        speakers=(),
    )
    return story([last], counts(end))


def empty() -> Story:
    """Nobody ever attached."""
    return story(status="expired")


def _numbered(events: Sequence[DurableEvent]) -> Sequence[DurableEvent]:
    return [replace(event, seq=number) for number, event in enumerate(events, start=1)]
