"""What a sampler saw is read right, and belongs to the part of its innermost known function."""

import ast
import asyncio
from pathlib import Path

import pytest

from benchmarks.stacks import BEGINS, ROOT, Frame, Part, parse, part_of, shares

_SOURCES = Path(__file__).parents[2]
_INTO_LOOP = "main (gateway/cli.py);Runner.run (asyncio/runners.py)"
_CALL = f"{_INTO_LOOP};Scheduler._call (gateway/classify/scheduler.py)"
_BUFFER = f"{_INTO_LOOP};WebSocketProtocol.buffer_updated (gateway/server/websocket.py)"
RAW = f"""\
{_INTO_LOOP} 30
{_BUFFER};Lane.feed (gateway/server/lane.py:129) 4
{_BUFFER};Lane.feed (gateway/server/lane.py:131) 6
{_BUFFER};Lane.feed (gateway/server/lane.py);Hearing.hear (gateway/api/hearing.py) 10
{_CALL};Scheduler._hand_back (gateway/classify/scheduler.py);__init__ (<string>) 20
{_CALL};_split (gateway/classify/remote/classifier.py);splitting.<locals>.<genexpr> (a b (c)/x.py) 15
{_INTO_LOOP};Server.main_loop (uvicorn/server.py) 10
_bootstrap (threading.py);run 5
"""
"""As py-spy writes it, with and without lines."""


def _defined(path: str) -> set[str]:
    """Functions of a module, by their qualified names."""
    found: set[str] = set()

    def look(body: list[ast.stmt], prefix: str) -> None:
        for one in body:
            if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef):
                found.add(prefix + one.name)
            elif isinstance(one, ast.ClassDef):
                look(one.body, f"{prefix}{one.name}.")

    look(ast.parse((_SOURCES / path).read_text(encoding="utf-8")).body, "")
    return found


def test_lines_become_stacks_without_their_roots() -> None:
    """Lines of one function are one; a stack that never came to the loop stays whole."""
    stacks = parse(RAW)
    assert stacks.total() == 100
    assert stacks[()] == 30
    buffer = Frame("WebSocketProtocol.buffer_updated", "gateway/server/websocket.py")
    assert stacks[buffer, Frame("Lane.feed", "gateway/server/lane.py")] == 10
    assert stacks[Frame("_bootstrap", "threading.py"), Frame("run", "")] == 5
    assert {frame.name for stack in stacks for frame in stack} >= {"splitting.<locals>.<genexpr>", "__init__"}


@pytest.mark.parametrize("line", ["main (gateway/cli.py)", "12", "main (gateway/cli.py) many", ""])
def test_a_line_without_stack_or_count_is_an_error(line: str) -> None:
    """It would be lost silently otherwise."""
    with pytest.raises(ValueError, match="no stack with a count"):
        parse(f"{RAW}{line}\n")


def test_a_sample_counts_to_its_innermost_known_function() -> None:
    """To the loop where nothing of ours runs, to nobody where none is known; all of them together are 1."""
    told = {part: round(share, 6) for part, share in shares(parse(RAW)).items() if share}
    assert told == {
        Part.LOOP: 0.3,
        Part.LANE: 0.1,
        Part.RING: 0.1,
        Part.EVENTS: 0.2,
        Part.ANSWER: 0.15,
        Part.ELSE: 0.15,
    }
    assert list(shares(parse(""))) == list(Part)
    assert not any(shares(parse("")).values())


@pytest.mark.parametrize(
    ("path", "name"),
    [(path, name) for modules in BEGINS.values() for path, names in modules.items() for name in names],
)
def test_every_known_function_exists(path: str, name: str) -> None:
    """Under one part only: a renamed one would silently count to its caller's."""
    assert name in _defined(path)
    assert sum(name in modules.get(path, ()) for modules in BEGINS.values()) == 1
    assert part_of((Frame(name, path),)) not in (Part.LOOP, Part.ELSE)


def test_every_part_begins_somewhere_and_the_root_is_asyncios() -> None:
    """The way into the loop is the interpreter's, and may move with it."""
    assert {*BEGINS, Part.LOOP, Part.ELSE} == set(Part)
    code = asyncio.Runner.run.__code__
    assert code.co_qualname == ROOT.name
    assert code.co_filename.endswith(f"/{ROOT.path}")
