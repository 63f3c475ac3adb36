"""Folding events into what there is to see."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.commands.picture import STRIP_SECONDS, Picture
from protocol import events as ev
from tests.gateway.commands.made import RATE, at, flow, queue, service, summary, tone, welcome, words


def picture(*events: ev.Event) -> Picture:
    made = Picture(name="talk.wav", total_samples=30 * RATE)
    made.begin(welcome(), watching=False)
    for event in events:
        made.apply(event)
    return made


def test_every_event_can_be_applied() -> None:
    """No event of the protocol, nor one of a later version, upsets the picture."""
    made = picture(welcome(), ev.Pong(t=1), ev.Drain(retry_after_ms=100), flow(2), summary(3))
    made.apply(ev.UnknownEvent(type="mood", fields={}))
    assert made.phase == "done"
    assert made.notices[-1].bad


def test_tones_fill_the_strip_a_second_each() -> None:
    """One second of tone is one cell; the voice under it is the speaker's."""
    made = picture(tone(0, "Calm", speaker_id="Speaker A"), tone(1, "Tense", speaker_id="Speaker B"))
    assert made.strip == {0: "tone:Calm", 1: "tone:Tense"}
    assert made.voices == {0: "Speaker A", 1: "Speaker B"}
    assert made.tone_labels == ["Calm", "Tense"]


def test_overlapping_windows_own_their_last_second() -> None:
    """With windows longer than the hop, a later one only decides over the second it adds."""
    long = at(ev.Tone, 0, 3, label="Calm", confidence=0.5)
    later = at(ev.Tone, 1, 4, label="Tense", confidence=0.5)
    assert picture(long, later).strip == {0: "tone:Calm", 1: "tone:Calm", 2: "tone:Calm", 3: "tone:Tense"}


def test_queue_states_never_hide_a_tone() -> None:
    """A queue state marks only what nothing was said about, gaps override both."""
    gap = at(ev.Gap, 1, 2, reason=ev.GapReason.OVERLOAD)
    made = picture(tone(0, "Calm"), queue(0, 3, "hold_music"), gap)
    assert made.strip == {0: "tone:Calm", 1: "gap", 2: "queue:hold_music"}
    assert (made.gap_samples, made.gap_count) == (RATE, 1)


def test_queue_state_ends_with_speech_or_silence_about_it() -> None:
    """A queue state holds until somebody speaks, or until it is no longer repeated."""
    ringing = queue(0, 2, "ringback")
    assert picture(ringing).queue_now() == ringing
    assert picture(ringing, tone(2, "Calm")).queue_now() is None
    assert picture(ringing, flow(13)).queue_now() == ringing
    assert picture(ringing, flow(15)).queue_now() is None


def test_digits_add_up() -> None:
    """Digits of several events are one number."""
    made = picture(queue(0, 1, "dtmf_tone", digits="555"), queue(1, 2, "dtmf_tone", digits="01"))
    assert made.digits == "55501"


def test_final_words_replace_interim_ones() -> None:
    """Words in progress are shown apart and vanish once they are final."""
    made = picture(words(0, 1, "real", final=False))
    unfinished = made.interim
    assert unfinished is not None
    made.apply(words(0, 2, "really\n  nice", final=True, who="Speaker A"))
    assert made.interim is None
    assert [(line.text, line.speaker) for line in made.lines] == [("really nice", "Speaker A")]
    made.apply(words(3, 4, " ", final=True))
    assert len(made.lines) == 1


def test_notices_don_t_repeat() -> None:
    """The same remark twice in a row is one remark; readiness is none."""
    warning = ev.Service(
        seq=1, session_id="s", timestamp=1.0, status=ev.ServiceStatus.WARNING, detail="no decoder"
    )
    ready = ev.Service(seq=1, session_id="s", timestamp=1.0, status=ev.ServiceStatus.READY, detail="")
    wrong = ev.Error(code="invalid_field", message="must be", param="hop_ms", fatal=False)
    made = picture(warning, warning, ready, wrong)
    assert [one.text for one in made.notices] == ["warning: no decoder", "invalid_field (hop_ms): must be"]


def test_position_is_the_farthest_known() -> None:
    """An observer, who sends nothing, still sees where the audio stands."""
    made = picture(flow(4))
    made.apply(tone(6, "Calm"))
    assert made.position_s == pytest.approx(7)
    assert made.total_s == 30


def test_position_follows_every_event_s_timestamp() -> None:
    """Also an event that speaks of no stretch of audio tells an observer how far the audio is."""
    made = picture(service("no decoder is free", 12.5))
    assert made.position_s == pytest.approx(12.5)
    assert made.heard == 0, "that nothing was said by then, it doesn't tell"


def test_attaching_to_a_session_starts_where_it_stands() -> None:
    """Joining a session at its tenth second shows ten seconds."""
    made = Picture(name="x")
    made.begin(welcome(next_sample=10 * RATE), watching=True)
    assert (made.position_s, made.phase, made.total_s) == (10, "watching", None)


def test_strip_is_bounded_and_keeps_the_newest() -> None:
    """However long a session, the strip holds a bounded number of seconds, the newest ones."""
    made = Picture(name="x")
    for second in range(3 * STRIP_SECONDS):
        made.apply(tone(second, "Calm", speaker_id="Speaker A"))
    assert STRIP_SECONDS <= len(made.strip) <= 2 * STRIP_SECONDS
    assert len(made.voices) <= 2 * STRIP_SECONDS
    assert max(made.strip) == 3 * STRIP_SECONDS - 1


@given(st.lists(st.tuples(st.floats(0, 1_000), st.floats(0, 10), st.sampled_from("abc")), max_size=40))
def test_any_course_of_audio_is_drawn_somewhere(course: list[tuple[float, float, str]]) -> None:
    """Whatever stretches are spoken of, in any order, the last second of each is on the strip."""
    made = Picture(name="x")
    for start, length, label in course:
        made.apply(at(ev.Tone, start, start + length, label=label, confidence=0.5))
        assert made.strip[max(round(start * RATE), round((start + length) * RATE) - 1) // RATE]
