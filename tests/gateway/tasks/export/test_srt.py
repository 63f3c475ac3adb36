"""SubRip: the same cues, without a markup to escape from."""

from hypothesis import given

from gateway.tasks.export.cues import captions
from gateway.tasks.export.formats import export
from gateway.tasks.export.lanes import ALL
from gateway.tasks.export.srt import escaped
from gateway.tasks.story import Story
from tests.gateway.tasks.export.readers import read_srt
from tests.gateway.tasks.kit import said, stories, story


def test_a_cue_looks_as_players_want_it() -> None:
    """A number, a comma before the milliseconds, the speaker before the words."""
    told = story(said(3_600, 3_602.5, "It is <b>late</b>", speaker_id="Speaker A"))
    assert export(told, "srt").decode() == (
        "1\n01:00:00,000 --> 01:00:02,500\nSpeaker A: It is ‹b›late‹/b›\n\n"
    )


@given(stories())
def test_every_cue_is_read_back(told: Story) -> None:
    """Hostile text breaks no block and leaves no tag."""
    meant = list(captions(told, ALL))
    read = list(read_srt(export(told, "srt")))
    assert [(cue.start_ms, cue.end_ms) for cue in read] == [(cue.start_ms, cue.end_ms) for cue in meant]
    for cue, wanted in zip(read, meant, strict=True):
        head = f"{wanted.speaker}: " if wanted.speaker else ""
        assert cue.payload == escaped(head + " ".join(wanted.lines))
        assert not set("<>{}") & set(cue.payload)
