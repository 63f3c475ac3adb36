"""A profile of a real server, and what is told of it; which figures come out is not asked."""

import sysconfig
from collections import Counter
from pathlib import Path

import pytest

from benchmarks import profile, usual
from benchmarks.__main__ import ALONE, COSTS, FAULTS
from benchmarks.profile import NoProfile, Profile
from benchmarks.stacks import Frame, Part, Stack, shares
from protocol.reference import update
from tests.needs import need_sampler

needs_linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="measures by /proc")

_HEAR: Stack = (Frame("Hearing.hear", "gateway/api/hearing.py"),)
FOUND = Profile(1_000, Counter({(): 30, _HEAR: 70}), cpu_us=600.0, kernel_us=150.0, sampled_cpu_us=630.0)


@needs_linux
def test_a_live_server_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few sessions over real sockets: our functions are on its stacks, under the names that are known."""
    need_sampler()
    monkeypatch.setattr(profile, "SETTLE_S", 0.5)
    with usual.stage() as here:
        found = profile.measure(here, 20, 1.0, 3)
    assert found.cpu_us > 0
    assert found.sampled_cpu_us > 0
    assert 0 <= found.kernel_us <= found.cpu_us
    told = shares(found.stacks)
    assert sum(told.values()) == pytest.approx(1)
    assert told[Part.LOOP] > 0
    assert told[Part.ELSE] < 0.5
    known = [part for part in Part if told[part] and part not in (Part.LOOP, Part.ELSE)]
    assert known, found.stacks


def test_who_may_not_look_is_told_why() -> None:
    """There is no such process, which is as good as one of somebody else."""
    need_sampler()
    with pytest.raises(NoProfile, match="py-spy can't look: "):
        profile.sampled(2**22 + 1, 1)


def test_a_missing_sampler_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With what installs it."""
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(NoProfile, match="make test installs it"):
        profile.py_spy()


def test_parts_sum_up_to_the_calm_cpu() -> None:
    """Each is a share of it; so are the kernel's, which is inside of the others, and what looking cost."""
    rows = {row.name: row for row in profile.accounted(FOUND)}
    assert sum(rows[part.value].value for part in Part) == pytest.approx(600.0)
    assert rows["frame: session and ring"].value == pytest.approx(420.0)
    assert rows["inside the kernel, wherever it was called"].ratio == 0.25
    assert rows["CPU of the server while it was sampled"].ratio == 1.05


def test_the_page_takes_the_table_between_its_marks() -> None:
    """And refers to the drawing, which lies where it is written."""
    page = profile.PAGE.read_text(encoding="utf-8")
    assert page.count("<!-- generated: profile -->") == 1
    renewed = update(page, {"profile": lambda: profile.markdown(FOUND)})
    assert "| frame: session and ring | 420 | 70.0% |" in renewed
    assert "With 1,000 sessions 600 µs of CPU" in renewed
    assert "](../benchmarks/plots/flame.svg)" in page
    assert profile.DRAWING.exists()


def test_it_runs_only_where_it_is_named() -> None:
    """Neither with what costs what, nor with the faults."""
    assert set(ALONE) == {"profile"}
    assert not set(ALONE) & {*COSTS, *FAULTS}
