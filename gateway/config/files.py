"""Names of files that people write into settings."""

import os
from pathlib import Path

from gateway.config.problems import Refused

MAX_SOCKET_PATH = 107
"""Bytes of a Unix socket's path on Linux (unix(7): 108 with the terminating null byte)."""


def socket_path(text: str) -> str:
    """Where a Unix socket may be made; raises Refused."""
    if not Path(text).is_absolute() or "\0" in text:
        raise Refused("must be an absolute path", "such as /run/undertone/handover")
    if text.endswith("/") or len(os.fsencode(text)) > MAX_SOCKET_PATH:
        raise Refused(f"must name a file, in at most {MAX_SOCKET_PATH} bytes")
    return text
