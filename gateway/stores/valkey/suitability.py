"""Whether a server will do, from what it says of itself."""

import logging
import re
from collections.abc import Mapping
from typing import Final

from gateway.errors import StoreUnsuitable
from gateway.stores.valkey.url import Kind

logger = logging.getLogger(__name__)

MIN_VERSION: Final = (7, 0)
"""Since then there are functions; Valkey began at 7.2."""


def parse_info(reply: bytes) -> Mapping[str, str]:
    """The fields of an `INFO` reply."""
    lines = (line.partition(":") for line in reply.decode("utf-8", "replace").splitlines())
    return {name: value for name, colon, value in lines if colon and not name.startswith("#")}


def check(info: Mapping[str, str], where: str, kind: Kind) -> None:
    """Raises StoreUnsuitable where sessions can't be kept there; logs what is risky."""
    if "sentinel" in (info.get("redis_mode"), info.get("server_mode")):
        raise StoreUnsuitable(
            f"{where} is a sentinel: the store's URL must begin with valkey+sentinel:// and name the service"
        )
    version = info.get("valkey_version") or info.get("redis_version", "")
    numbers = tuple(int(one) for one in re.findall(r"\d+", version)[:2])
    if numbers < MIN_VERSION:
        told = version or "unknown"
        raise StoreUnsuitable(
            f"the store at {where} has version {told}; Valkey, or Redis from 7.0 on, will do"
        )
    if info.get("role") != "master":
        raise StoreUnsuitable(f"the store at {where} is a read-only replica")
    clustered = info.get("cluster_enabled", "0") == "1"
    if clustered and kind is not Kind.CLUSTER:
        raise StoreUnsuitable(
            f"the store at {where} is a node of a cluster: its URL must begin with valkey+cluster://"
        )
    policy = info.get("maxmemory_policy", "noeviction")
    if info.get("maxmemory", "0") == "0" or policy == "noeviction":
        return
    if policy.startswith("allkeys-"):
        raise StoreUnsuitable(
            f"the store at {where} deletes anything when its memory is full (maxmemory-policy {policy}): "
            "live sessions would vanish; set noeviction"
        )
    logger.warning(
        "the store at %s may delete sessions when its memory is full: maxmemory-policy is %s, set noeviction",
        where,
        policy,
    )
