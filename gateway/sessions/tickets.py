"""Secrets that let somebody in: tickets and resume tokens. Only their hashes are kept."""

import hmac
import secrets
from enum import StrEnum
from hashlib import sha256


class Role(StrEnum):
    """What somebody may do in a session."""

    OWNER = "owner"
    """Send audio and control messages; there is one at a time."""
    OBSERVER = "observer"
    """Read."""


def new_secret() -> str:
    """192 random bits in base64url, unpadded: fit for a subprotocol name and a header."""
    return secrets.token_urlsafe(24)


def digest(secret: str) -> str:
    """SHA-256 of a secret in hexadecimal. Secrets are long and random: no salt or stretching is due."""
    return sha256(secret.encode()).hexdigest()


def same(presented: str, kept: str | None) -> bool:
    """Whether two digests are equal, in a time that doesn't tell where they differ. None equals nothing."""
    return hmac.compare_digest(presented, kept or "") and kept is not None
