"""What a browser loads of the page from opening it to the account at the end: a budget, without a browser."""

import posixpath
import re
from typing import Final

from gateway.api.page import INDEX, web_files

BUDGET: Final = 100_000
"""Bytes, uncompressed: two seconds at 400 kbit/s."""

ASIDE: Final = {
    "capture/file.js": "a recording is chosen",
    "client/observer.js": "somebody else's session is watched",
    "icon-192.png": "the page is kept on a home screen",
    "page/access.js": "the gateway asks for a key",
    "page/chooser.js": "the settings are opened",
    "page/files.js": "a file or a report is asked for",
    "page/observer.js": "somebody else's session is watched",
    "page/problems.js": "something went wrong",
    "page/record.js": "a file or a report is asked for, or a session is gone on with",
    "page/return.js": "a page is loaded again while its session lives, or somebody else's is watched",
    "page/share.js": "a link is given away",
    "page/timeline-hand.js": "pointer or keyboard come to the timeline",
    "pcm-resampling-worklet.js": "the browser refuses to run at 16 kHz beside this microphone",
}
"""Files that nobody needs who speaks and stops, and when they are loaded instead."""

_STATIC: Final = re.compile(r"""\b(?:from|import)\s*["'](\.[^"']+)["']""")
_LATER: Final = re.compile(r"""\b(?:import|new URL)\(\s*["'](\.[^"']+)["']""")
_NAMED: Final = re.compile(r"""\s(?:href|src)="?/web/([^">\s]+)""")


def parts(path: str) -> tuple[set[str], set[str]]:
    """The files that one needs at once, and those that it may load later."""
    if path == INDEX:
        return set(), set(_NAMED.findall(web_files()[path].body.decode()))
    if not path.endswith(".js"):
        return set(), set()
    text = web_files()[path].body.decode()
    folder = posixpath.dirname(path)
    at_once, later = (
        {posixpath.normpath(posixpath.join(folder, named)) for named in pattern.findall(text)}
        for pattern in (_STATIC, _LATER)
    )
    return at_once, later


def loaded() -> dict[str, int]:
    """Bytes of each file on the way, by its path."""
    sizes: dict[str, int] = {}
    asked = [INDEX]
    while asked:
        path = asked.pop()
        if path not in sizes:
            sizes[path] = len(web_files()[path].body)
            at_once, later = parts(path)
            asked += at_once | (later - ASIDE.keys())
    return sizes


def test_the_page_is_light() -> None:
    """All of it, from `/` to the account of a session that ended, is within the budget."""
    sizes = loaded()
    heaviest = sorted(sizes.items(), key=lambda one: -one[1])
    assert sum(sizes.values()) <= BUDGET, heaviest


def test_what_is_left_out_is_loaded_later_by_something() -> None:
    """No file is missing from the sum that is always loaded, or that nothing loads any more."""
    sizes = loaded()
    assert {"page.css", "page/main.js", "page/after.js", "pcm-worklet.js", "icon.svg"} <= sizes.keys()
    assert not ASIDE.keys() & sizes.keys()
    assert ASIDE.keys() == {one for path in sizes for one in parts(path)[1]} & ASIDE.keys()
