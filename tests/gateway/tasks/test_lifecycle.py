"""The table of tasks, every state by every input."""

from itertools import product

import pytest

from gateway.tasks.lifecycle import TRANSITIONS, IllegalTransition, Input, advance, diagram, step
from gateway.tasks.model import TERMINAL, State, Task, new_task_id
from gateway.tasks.recipes import recipe

# Written out a second time on purpose: one row per state, in the order of the columns.
COLUMNS = ["start", "finish", "fail", "cancel"]
TABLE = {
    "queued": "running - - cancelled",
    "running": "- ready failed cancelled",
    "ready": "- - - -",
    "failed": "- - - -",
    "cancelled": "- - - -",
}


def task(state: State) -> Task:
    """A task in `state`."""
    return Task(
        id=new_task_id(),
        session_id="s",
        recipe=recipe("summary", None),
        state=state,
        created_at=1.0,
        updated_at=1.0,
        progress=0.5,
    )


@pytest.mark.parametrize(("state", "given"), sorted(product(State, Input)))
def test_every_state_by_every_input(state: State, given: Input) -> None:
    """Each of the pairs leads where the table above says, or raises."""
    expected = TABLE[state].split()[COLUMNS.index(given)]
    if expected == "-":
        with pytest.raises(IllegalTransition) as caught:
            step(state, given)
        assert (caught.value.state, caught.value.given) == (state, given)
    else:
        assert step(state, given) == expected


def test_nothing_leads_out_of_an_end_and_everything_else_leads_to_one() -> None:
    """No task is under way for ever, and none rises from the dead."""
    assert {before for before, _ in TRANSITIONS} == set(State) - TERMINAL
    reached = {State.QUEUED, *TRANSITIONS.values()}
    assert reached == set(State)


@pytest.mark.parametrize(("state", "given"), sorted(TRANSITIONS))
def test_advance_moves_as_step_does(state: State, given: Input) -> None:
    """A task that is ready is done; no other one claims to be, and only a failure has a message."""
    before = task(state)
    message = "it broke" if given is Input.FAIL else None
    after = advance(before, given, wall=7.0, error_message=message)
    assert (after.state, after.updated_at, after.created_at) == (step(state, given), 7.0, 1.0)
    assert (after.progress == 1.0) == after.result_available == (after.state is State.READY)
    assert (after.error_message is not None) == (after.state is State.FAILED)
    assert after.over == (after.state in TERMINAL)


def test_the_diagram_draws_each_edge_of_the_table() -> None:
    """What the documentation shows is what the code does."""
    lines = diagram().splitlines()
    assert lines[:2] == ["stateDiagram-v2", "    [*] --> queued"]
    drawn = {line.strip() for line in lines[2:] if "[*]" not in line}
    assert drawn == {f"{before} --> {after}: {given}" for (before, given), after in TRANSITIONS.items()}
    assert sum(line.endswith("--> [*]") for line in lines) == len(TERMINAL)
