"""The place at the handover's path: made, taken over, or refused in words."""

import contextlib
import fcntl
import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.server import takeover
from gateway.server.handover import VERSION, Message, Word, decode
from gateway.server.listening import CannotListen, listen
from gateway.server.takeover import Place, take_place


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where nobody is."""
    return str(tmp_path / "handover")


@pytest.fixture
def place(path: str) -> Iterator[Place]:
    """A place that is taken."""
    made = take_place(path)
    yield made
    made.close()


@contextlib.contextmanager
def answering(place: Place, answer: Callable[[socket.socket], object]) -> Iterator[None]:
    """Somebody at `place` who gives each caller one answer."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                caller, _ = place.control.accept()
                with caller:
                    if caller.recv(100):
                        answer(caller)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        place.control.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_free_place_is_made_for_its_owner_alone(place: Place, path: str) -> None:
    """Mode 0600 from the first moment on, and nothing to take over."""
    assert stat.S_IMODE(os.lstat(path).st_mode) == 0o600
    assert (place.listener, place.predecessor) == (None, None)
    place.give_up()
    assert not os.path.lexists(path)


def test_what_another_one_has_put_there_instead_is_left_alone(place: Place, path: str) -> None:
    """Somebody removed our path, and a gateway that knows nothing of us has made its own."""
    os.unlink(path)
    with contextlib.closing(take_place(path)) as other:
        place.vacate()
        assert os.path.lexists(path)
        other.vacate()
        assert not os.path.lexists(path)
        place.vacate()


def test_a_place_that_was_left_behind_is_taken(place: Place, path: str) -> None:
    """Its owner died without tidying up."""
    place.close()
    assert os.path.lexists(path)
    with contextlib.closing(take_place(path)) as again:
        assert again.predecessor is None


def test_the_listening_socket_is_lent(place: Place, path: str) -> None:
    """The same socket, its queue included, and the place with it; both of no use to children."""

    def lend(caller: socket.socket) -> None:
        sockets = [listener.fileno(), place.control.fileno()]
        socket.send_fds(caller, [Message(Word.LEND).encode()], sockets)
        assert caller.recv(100) == b"bye"

    with listen("127.0.0.1", 0) as listener, answering(place, lend):
        with socket.create_connection(listener.getsockname()):
            taken = take_place(path)
            assert taken.listener is not None
            assert taken.predecessor is not None
            taken.listener.accept()[0].close()
            assert not taken.listener.get_inheritable()
            assert not taken.control.get_inheritable()
        taken.predecessor.send(b"bye")
        taken.give_up()
        assert os.path.lexists(path), "it is still the other's"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Message(Word.REFUSE, b"it is tired").encode(), "it is tired"),
        (Message(Word.LEND).encode(), "0 descriptor"),
        (Message(Word.READY).encode(), "answers with 'ready'"),
        (f"undertone-handover/{VERSION + 1} lend\n".encode(), "we speak version"),
        (b"hello", "does not speak"),
    ],
)
def test_a_refusal_is_told(place: Place, path: str, answer: bytes, told: str) -> None:
    """So is what can't be understood, with what to do about it."""
    with (
        answering(place, lambda caller: caller.send(answer)),
        pytest.raises(CannotListen) as refused,
    ):
        take_place(path)
    assert told in str(refused.value)
    assert refused.value.hint


def test_what_is_lent_must_be_a_listening_socket(place: Place, path: str) -> None:
    """Anything else is refused, and closed."""

    def lend(caller: socket.socket) -> None:
        socket.send_fds(caller, [Message(Word.LEND).encode()], [caller.fileno(), caller.fileno()])

    with answering(place, lend), pytest.raises(CannotListen, match="not a listening TCP socket"):
        take_place(path)


def test_one_that_does_not_answer_is_given_up(place: Place, path: str) -> None:
    """It is stuck, and says nothing: that is told, and it keeps what it has."""
    with pytest.raises(CannotListen, match="does not answer") as stuck:
        take_place(path, 0.05)
    assert stuck.value.hint
    assert os.path.lexists(path)


def test_one_that_ends_instead_of_answering_leaves_its_place(place: Place, path: str) -> None:
    """It was just going: the second look finds nobody there."""
    taken: list[Place] = []
    taker = threading.Thread(target=lambda: taken.append(take_place(path)))
    taker.start()
    caller, _ = place.control.accept()
    assert decode(caller.recv(100)).word is Word.TAKE
    place.close()
    caller.close()
    taker.join()
    assert taken[0].predecessor is None
    taken[0].close()


def test_a_file_in_the_way_is_left_alone(path: str) -> None:
    """It is somebody's."""
    Path(path).write_text("mine")
    with pytest.raises(CannotListen, match="is no socket") as refused:
        take_place(path)
    assert refused.value.hint
    assert Path(path).read_text() == "mine"


def test_another_programs_socket_is_left_alone(path: str) -> None:
    """One that doesn't even keep messages apart."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.bind(path)
        other.listen()
        with pytest.raises(CannotListen, match="another program's"):
            take_place(path)


def test_another_users_process_is_not_believed(
    place: Place, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could hand us anything."""
    monkeypatch.setattr(takeover, "uid_of_peer", lambda _: os.geteuid() + 1)
    with pytest.raises(CannotListen, match="another user's"):
        take_place(path)


def test_a_directory_that_is_not_there_is_said(tmp_path: Path) -> None:
    """Nothing is made that nobody asked for."""
    with pytest.raises(CannotListen, match="No such file") as refused:
        take_place(str(tmp_path / "none" / "handover"))
    assert "UNDERTONE_HANDOVER" in refused.value.hint


def test_whoever_looks_is_the_only_one_who_does(path: str) -> None:
    """Or two would find a place left behind, and one would remove what the other has just made."""
    directory = os.open(Path(path).parent, os.O_RDONLY)
    fcntl.flock(directory, fcntl.LOCK_EX)
    with pytest.raises(CannotListen, match="does not answer"):
        take_place(path, 0.1)
    os.close(directory)
    take_place(path).give_up()


def test_of_those_that_come_at_once_one_gets_the_place(path: str) -> None:
    """Ten processes at the same moment: nine find the tenth there, which doesn't answer, as it is new."""
    code = (
        "import sys; from gateway.server.takeover import take_place\n"
        "from gateway.server.listening import CannotListen\n"
        "sys.stdin.readline()\n"
        "try: place = take_place(sys.argv[1], 1); print('mine', flush=True); sys.stdin.readline()\n"
        "except CannotListen as error: print(error, flush=True)"
    )
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", code, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[3],
        )
        for _ in range(10)
    ]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    told = [racer.stdout.readline().strip() for racer in racers if racer.stdout is not None]
    for racer in racers:
        racer.communicate("\n", timeout=30)
    assert sorted(told, key=len) == ["mine"] + [f"the process at {path} does not answer"] * 9
