"""Control messages that no gateway may take: typing mistakes, lies, and bombs for parsers."""

import json
import random
from collections.abc import Callable, Iterator

REFUSALS = frozenset({"malformed_message", "unknown_message", "invalid_field", "message_too_large"})
"""The codes that one of them may be answered with."""
LIMIT = 16_384
"""Bytes that a control message may have."""

_HUGE = "1" + "0" * 400
_NUMBERS = (
    "-1",
    "9223372036854775808",
    "-9223372036854775809",
    "1e999",
    _HUGE,
    "1.5",
    "true",
    '"7"',
    "[]",
    "{}",
)
_KINDS = ("configure", "position", "flush", "ack", "ping", "end")

BOMBS: tuple[str, ...] = (
    "[" * (LIMIT // 2) + "]" * (LIMIT // 2),
    "[" * LIMIT,
    '{"a":' * (LIMIT // 8) + "1" + "}" * (LIMIT // 8),
    '{"type":"ping","t":' + "[" * 900 + "]" * 900 + "}",
    '{"type":"ping","t":' + "9" * 16_000 + "}",
    '{"type":"ping","t":1' + "0" * 4_000 + "e4000}",
    '{"type":"ping",' + ",".join(f'"k{n}":{n}' for n in range(1_500)) + "}",
    '{"type":"ping","' + "k" * 16_000 + '":1}',
    '{"type":"' + "x" * 16_000 + '"}',
    '{"type":"ping","t":"' + "x" * (LIMIT + 1) + '"}',
    '{"type":"ping","t":"' + "\\u0041" * 2_600 + '"}',
    '{"type":"configure","features":[' + ",".join(['"tone"'] * 1_500 + ["1"]) + "]}",
)
"""Each is small on the wire and tries to be large, deep or slow behind it."""

MISTAKES: tuple[str, ...] = (
    "",
    " ",
    "{",
    "}",
    "[]",
    "null",
    "7",
    '"ping"',
    "ping",
    '{"type":"ping"',
    '{"type":"ping"}}',
    '{"type":"ping"}{"type":"ping"}',
    '{"type":"ping"} x',
    "{'type':'ping'}",
    '{"type":"ping",}',
    '{"type":"ping"/**/}',
    '{type:"ping"}',
    '\ufeff{"type":"ping"}',
    '{"type":"ping","t":NaN}',
    '{"type":"ping","t":Infinity}',
    '{"type":"ping","t":-Infinity}',
    '{"type":"ping","t":0x10}',
    '{"type":"ping","t":01}',
    '{"type":"ping","t":"\\ud800"}',
    '{"type":"ping","t":"\\udc00\\ud800"}',
    '{"type":"ping","t":"\\x41"}',
    '{"type":"ping","t":"a\nb"}',
    '{"type":"ping","t":"a\0b"}',
    '{"type":"ping","t":[1]}',
    '{"type":"ping","t":true}',
    '{"type":"ping","type":"dance"}',
    '{"type":"position","sample":5,"sample":-5}',
    '{"type":null}',
    '{"type":["ping"]}',
    '{"type":{"type":"ping"}}',
    '{"type":"Ping"}',
    '{"type":"ping "}',
    '{"type":"__class__"}',
    '{"type":"ping","__proto__":{}}',
    '{"Type":"ping"}',
    "{}",
    '{"type":"position"}',
    '{"type":"ack"}',
    '{"type":"end","now":true}',
    '{"type":"welcome"}',
    '{"type":"flush","id":1.5}',
    '{"type":"flush","id":"' + "x" * 129 + '"}',
    '{"type":"configure","features":"tone"}',
    '{"type":"configure","features":[["tone"]]}',
    '{"type":"configure","language":"../../etc"}',
    '{"type":"configure","delivery":"carrier pigeon"}',
    '{"type":"configure","hop_ms":5000,"window_ms":200}',
    *(f'{{"type":"position","sample":{number}}}' for number in _NUMBERS),
    *(f'{{"type":"ack","seq":{number}}}' for number in _NUMBERS),
    *(f'{{"type":"configure","hop_ms":{number}}}' for number in _NUMBERS),
    '{"type":"position","sample":9007199254740991}',
    '{"type":"ack","seq":9007199254740991}',
)


def endless(seed: int) -> Iterator[str]:
    """Malformed messages, the same for a seed; mostly small, some bombs."""
    dice = random.Random(seed)
    while True:
        yield dice.choices(_MAKERS, _WEIGHTS)[0](dice)


def _bomb(dice: random.Random) -> str:
    return dice.choice(BOMBS)


def _mistake(dice: random.Random) -> str:
    return dice.choice(MISTAKES)


def _cut_off(dice: random.Random) -> str:
    whole = json.dumps({"type": dice.choice(_KINDS), "t": dice.random(), "id": _word(dice)})
    return whole[: dice.randrange(len(whole))]


def _unknown_field(dice: random.Random) -> str:
    return json.dumps({"type": dice.choice(_KINDS), f"x{_word(dice)}": dice.random()})


def _unknown_type(dice: random.Random) -> str:
    return json.dumps({"type": f"x{_word(dice)}", "t": dice.random()})


def _noise(dice: random.Random) -> str:
    return "".join(chr(dice.randrange(1, 0xD800)) for _ in range(dice.randrange(1, 200)))


def _word(dice: random.Random) -> str:
    return "".join(chr(dice.randrange(0x20, 0x250)) for _ in range(dice.randrange(1, 40)))


_MAKERS: tuple[Callable[[random.Random], str], ...] = (
    _bomb,
    _mistake,
    _cut_off,
    _unknown_field,
    _unknown_type,
    _noise,
)
_WEIGHTS = (1, 40, 20, 20, 20, 20)
