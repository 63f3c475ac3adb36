"""What the machine that we run on is called."""

import re
import socket
from typing import Final

_MOST: Final = 48


def host_name() -> str:
    """Its name, as the name of a node may be written."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:_MOST]
