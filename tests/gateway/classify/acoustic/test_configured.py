"""What the settings ask of the embedded classifier."""

from gateway.classify.acoustic.configured import configured_acoustic, wish
from gateway.classify.acoustic.sizing import Where, Wish
from gateway.clock import SystemClock
from gateway.settings import Settings


def test_what_is_not_set_is_left_to_the_measurement() -> None:
    """And what is set is asked for."""
    assert wish(Settings.load({})) == Wish()
    named = {"CLASSIFY_WORKER_KIND": "thread", "CLASSIFY_WORKERS": "3", "CLASSIFY_BATCH": "8"}
    asked = Settings.load({f"UNDERTONE_{name}": value for name, value in named.items()})
    assert wish(asked) == Wish(Where.THREAD, 3, 8)
    classifier = configured_acoustic(asked, SystemClock())
    assert (classifier.name, classifier.room, classifier.calls) == ("acoustic", 8, 3)
