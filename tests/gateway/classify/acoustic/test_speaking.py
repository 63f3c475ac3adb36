"""Whether somebody speaks: voices, and nothing else, in the order of the windows."""

import numpy as np

from gateway.classify.acoustic.speaking import speaking
from gateway.classify.port import Window
from tests import signals
from tests.acoustic import cut, listen, tones
from tests.signals import RATE


def test_it_is_the_speech_that_has_a_tone() -> None:
    """For a real voice, window by window, it says what the classifier's tones say."""
    voice = signals.recording(signals.ASTERISK_SOUNDS / "demo-congrats.wav", 20.0)
    assert speaking(cut(voice, {})) == [bool(tones([told])) for told in listen(voice)]


def test_other_sounds_are_nobody() -> None:
    """Music, keys, call progress and silence, among windows of other lengths."""
    voice = signals.recording(signals.ASTERISK_SOUNDS / "demo-congrats.wav", 2.0)[:RATE]
    music = signals.recording(signals.music_files()[0], 10.0)[-RATE:]
    keys = signals.pcm(signals.dtmf("0123456789"))[:RATE]
    rows = [music, voice, keys, voice[: RATE // 2], np.zeros(RATE, np.int16), np.zeros(1, np.int16)]
    state: dict[str, object] = {}
    windows = [Window(row.astype(np.int16), len(row), 1.0, state) for row in rows]
    assert speaking(windows) == [False, True, False, True, False, False]
    assert state == {}
    assert speaking([]) == []
