"""What a chain of trusted proxies says of the address that the client used: RFC 7239, and the older headers.

Each proxy adds to the right of what it was given, and its client may have given it anything. So lists are
read from the right, as far as those who wrote them are trusted.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from starlette.datastructures import Headers

IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Trusts: TypeAlias = Callable[[IpAddress], bool]

_ELEMENT = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')
_PAIR = re.compile(r"""\s*([!#$%&'*+.^_`|~\w-]+)=("(?:[^"\\]|\\.)*"|[^";\s]*)\s*""", re.ASCII)


@dataclass(frozen=True, slots=True)
class Forwarded:
    """The client's side of the outermost trusted proxy; empty text where it doesn't say."""

    proto: str = ""
    host: str = ""


def forwarded(headers: Headers, trusts: Trusts) -> Forwarded:
    """What is said to the nearest proxy that is trusted, which is who sent these headers."""
    said = _standard(headers, trusts)
    hops = _hops(headers, trusts)
    return Forwarded(
        said.get("proto") or _listed(headers, "x-forwarded-proto", hops),
        said.get("host") or _listed(headers, "x-forwarded-host", hops),
    )


def ip_address(text: str) -> IpAddress | None:
    """The address that `text` is, an IPv4 one in IPv6 clothes as itself; None where it is none."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def _standard(headers: Headers, trusts: Trusts) -> Mapping[str, str]:
    """The element of `Forwarded` that the outermost trusted proxy wrote."""
    elements = [_pairs(one) for one in _ELEMENT.findall(",".join(headers.getlist("forwarded")))]
    found: Mapping[str, str] = {}
    while elements:
        found = elements.pop()
        if not _trusted(found.get("for", ""), trusts):
            break
    return found


def _pairs(element: str) -> Mapping[str, str]:
    pairs = [_PAIR.fullmatch(pair) for pair in element.split(";")]
    return {pair[1].lower(): pair[2].strip('"').lower() for pair in pairs if pair is not None}


def _hops(headers: Headers, trusts: Trusts) -> int:
    """Trusted proxies in a row, from the nearest one outwards, as far as `X-Forwarded-For` tells."""
    hops = 1
    for address in reversed(_values(headers, "x-forwarded-for")):
        if not _trusted(address, trusts):
            break
        hops += 1
    return hops


def _listed(headers: Headers, name: str, hops: int) -> str:
    values = _values(headers, name)
    return values[-min(hops, len(values))] if values else ""


def _values(headers: Headers, name: str) -> list[str]:
    return [one.strip().lower() for value in headers.getlist(name) for one in value.split(",")]


def _trusted(node: str, trusts: Trusts) -> bool:
    """Whether `node` is an address that is trusted, with a port or without (RFC 7239 section 6)."""
    bare = node.partition("]")[0].removeprefix("[")
    found = ip_address(bare) or ip_address(bare.rpartition(":")[0])
    return found is not None and trusts(found)
