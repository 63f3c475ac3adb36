"""What is told of a backend's parts: changes, to whoever listens, and how things stand to who comes later."""

from gateway.classify.notices import Notices
from gateway.classify.port import Health, HealthStatus

LOADING, READY = Health(HealthStatus.LOADING), Health(HealthStatus.READY)


def test_changes_are_told_once() -> None:
    """The same again is no news, and who ended listening hears nothing."""
    notices, heard = Notices(), list[tuple[str, Health]]()
    done = notices.listen(lambda part, health: heard.append((part, health)))
    for health in (LOADING, LOADING, READY):
        notices.tell("stt", health)
    done()
    notices.tell("stt", LOADING)
    assert heard == [("stt", LOADING), ("stt", READY)]
    assert notices.current == {"stt": LOADING}


def test_a_part_that_went_is_over_for_who_heard_of_it_and_not_there_for_who_comes_later() -> None:
    """Forgetting it twice changes nothing."""
    notices, heard = Notices(), list[tuple[str, HealthStatus]]()
    notices.tell("warning 1", LOADING)
    notices.listen(lambda part, health: heard.append((part, health.status)))
    notices.forget("warning 1")
    notices.forget("warning 1")
    assert notices.current == {}
    assert heard == [("warning 1", HealthStatus.READY)]
