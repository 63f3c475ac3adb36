"""Names of files, and names in them, that people write into settings."""

import os
import re
from pathlib import Path

from gateway.config.problems import Refused

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")

MAX_SOCKET_PATH = 107
"""Bytes of a Unix socket's path on Linux (unix(7): 108 with the terminating null byte)."""


def socket_path(text: str) -> str:
    """Where a Unix socket may be made; raises Refused."""
    if not Path(text).is_absolute() or "\0" in text:
        raise Refused("must be an absolute path", "such as /run/undertone/handover")
    if text.endswith("/") or len(os.fsencode(text)) > MAX_SOCKET_PATH:
        raise Refused(f"must name a file, in at most {MAX_SOCKET_PATH} bytes")
    return text


def data_file(text: str) -> str:
    """Where a TOML or JSON file is; a relative path begins where the gateway is started. Raises Refused."""
    if "\0" in text or Path(text).suffix.lower() not in (".toml", ".json"):
        raise Refused("must name a .toml or .json file", "such as /etc/undertone/namespaces.toml")
    return text


def toml_file(text: str) -> str:
    """Where a TOML file is; a relative path begins where the gateway is started. Raises Refused."""
    if "\0" in text or Path(text).suffix.lower() != ".toml":
        raise Refused("must name a .toml file", "such as /etc/undertone/model.toml")
    return text


def any_file(text: str) -> str:
    """Where a file is; a relative path begins where the gateway is started. Raises Refused."""
    if text.endswith("/") or any(char in "*?\0" for char in text):
        raise Refused("must name one file", "such as /etc/undertone/sidecar.pem")
    return text


def secret_file(text: str) -> str:
    """Where a file with a secret is; raises Refused."""
    if not Path(text).is_absolute() or "\0" in text or text.endswith("/"):
        raise Refused("must be an absolute path of a file", "such as /etc/undertone/sidecar.token")
    return text


def short_name(text: str) -> str:
    """What a namespace or a node is called; raises Refused."""
    if not _NAME.match(text):
        raise Refused("must be 1 to 64 letters, digits, `.`, `_` and `-`")
    return text
