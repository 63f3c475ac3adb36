"""What a session is called outside the gateway.

Where there are no keys, a session's id is all that is needed to attach to it, so nobody else is told it.
"""

import binascii
import hashlib
from typing import Final

LENGTH: Final = 22
"""Characters."""

_PERSON: Final = b"sidecar"
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")


def pseudonym(session: str) -> str:
    """The same for a session on every node and after every start: BLAKE2b of 128 bits (RFC 7693), base64url
    without padding. It leads to no id, as ids are random numbers of 128 bits. No session has no pseudonym.
    """
    if not session:
        return ""
    digest = hashlib.blake2b(session.encode("utf-8", "surrogatepass"), digest_size=16, person=_PERSON)
    return binascii.b2a_base64(digest.digest())[:LENGTH].translate(_URL_SAFE).decode()
