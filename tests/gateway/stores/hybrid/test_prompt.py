"""The audit trail for those who can't wait for it."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.errors import StoreUnavailable
from gateway.sessions.shared import AuditRow, DeletedRow
from gateway.stores.hybrid.prompt import PATIENCE_S, PAUSE_S, PromptAudit
from tests.virtual_time import VirtualLoop, run


class Audit:
    """Answers after so long."""

    def __init__(self) -> None:
        self.answers_after_s = 0.0
        self.error: Exception | None = None
        self.asked = 0
        self.written: list[AuditRow] = []

    async def recover(self, session_id: str) -> Any:
        await self._answer()

    async def write(self, rows: Sequence[AuditRow]) -> None:
        await self._answer()
        self.written += rows

    async def _answer(self) -> None:
        self.asked += 1
        await asyncio.sleep(self.answers_after_s)
        if self.error is not None:
            raise self.error


def test_one_that_is_silent_keeps_nobody_waiting() -> None:
    """Nobody waits for longer than its patience, the next not at all, until it is asked again."""

    async def steps(loop: VirtualLoop) -> None:
        audit = Audit()
        prompt = PromptAudit(audit, loop)  # type: ignore[arg-type]
        assert await prompt.recover("s") is None
        audit.answers_after_s = 60.0
        for waited in (PATIENCE_S, 0.0, 0.0):
            before = loop.time()
            with pytest.raises(StoreUnavailable, match="silent"):
                await prompt.recover("s")
            assert loop.time() == pytest.approx(before + waited)
        assert audit.asked == 2
        await asyncio.sleep(PAUSE_S)
        audit.answers_after_s = 1.0
        assert await prompt.recover("s") is None

    run(steps)


def test_what_is_on_its_way_arrives() -> None:
    """A driver that is interrupted waits for its server, too; so nothing is."""

    async def steps(loop: VirtualLoop) -> None:
        audit = Audit()
        prompt = PromptAudit(audit, loop)  # type: ignore[arg-type]
        audit.answers_after_s = 2 * PATIENCE_S
        row = DeletedRow("s", 1.0)
        with pytest.raises(StoreUnavailable):
            await prompt.write([row])
        assert audit.written == []
        await asyncio.sleep(PATIENCE_S)
        assert audit.written == [row]

    run(steps)


@pytest.mark.parametrize("after_s", [0.0, 2 * PATIENCE_S])
def test_what_goes_wrong_is_told_to_who_waits_and_to_nobody_else(
    after_s: float, caplog: pytest.LogCaptureFixture
) -> None:
    """An error that comes late is no news."""

    async def steps(loop: VirtualLoop) -> None:
        audit = Audit()
        audit.answers_after_s, audit.error = after_s, StoreUnavailable("by hand")
        with pytest.raises(StoreUnavailable, match="silent" if after_s else "by hand"):
            await PromptAudit(audit, loop).recover("s")  # type: ignore[arg-type]
        await asyncio.sleep(after_s)

    run(steps)
    assert caplog.records == []
