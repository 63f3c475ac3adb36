"""A real browser's own WebVTT parser reads what was exported, hostile text and all."""

import json
from pathlib import Path
from typing import Any

from gateway.tasks.export.cues import captions
from gateway.tasks.export.formats import export
from gateway.tasks.export.lanes import ALL, Lane, in_lanes
from gateway.tasks.story import Story
from protocol.events import QueueLabel
from tests.e2e.browser import chromium
from tests.gateway.tasks.kit import HOSTILE, gap, queue, said, story, tone
from tests.needs import need_file

LOAD = """
const track = document.createElement("track");
track.src = URL.createObjectURL(new Blob([FILE], { type: "text/vtt" }));
const video = document.createElement("video");
video.append(track);
document.body.append(video);
const loaded = new Promise((done, failed) => { track.onload = done; track.onerror = failed; });
track.track.mode = "hidden";
await loaded;
[...track.track.cues].map((cue) => {
  const shown = cue.getCueAsHTML();
  const voices = [...shown.querySelectorAll("span")].map((one) => one.title);
  const others = [...shown.querySelectorAll(":not(span)")].map((one) => one.tagName);
  return [cue.id, cue.startTime, cue.endTime, shown.textContent, voices, others, cue.text];
});
"""


def hostile() -> Story:
    """Everything that could break a file, said by people with names like that, in tones like that."""
    spoken = [said(at, at + 1, text, speaker_id=HOSTILE[-at]) for at, text in enumerate(HOSTILE)]
    felt = [tone(at, at + 1, text, subtext=text) for at, text in enumerate(HOSTILE)]
    return story(*spoken, *felt, queue(30, 31, QueueLabel.HOLD_MUSIC), gap(31, 31.5))


def read(file: bytes) -> Any:
    """What the browser makes of it."""
    source = LOAD.replace("FILE", json.dumps(file.decode()))
    with chromium(need_file(Path("/usr/share/sounds/alsa/Front_Center.wav"))) as tab:
        return tab.console("{" + source + "}")


def test_a_browser_shows_every_caption_and_nothing_else() -> None:
    """Each cue at its time, with its voice and its words; no text became markup."""
    told = hostile()
    meant = list(captions(told, ALL))
    found = read(export(told, "vtt"))
    assert len(found) == len(meant)
    for (_, start, end, text, voices, others, _), cue in zip(found, meant, strict=True):
        assert (round(start * 1_000), round(end * 1_000)) == (cue.start_ms, cue.end_ms)
        assert text == "\n".join(cue.lines)
        assert voices == ([cue.speaker] if cue.speaker else [])
        assert others == []


def test_a_script_reads_every_event_out_of_the_metadata() -> None:
    """A cue's text is JSON, with what was said to the letter."""
    told = hostile()
    found = [json.loads(cue[-1]) for cue in read(export(told, "vtt_metadata"))]
    events = list(in_lanes(told, ALL))
    assert [one["seq"] for one in found] == [event.seq for _, event in events]
    texts = [one["text"] for one in found if one["lane"] == Lane.TRANSCRIPT]
    assert texts == [event.text for event in told.transcripts]
