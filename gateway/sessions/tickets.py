"""Secrets that let somebody in: tickets and resume tokens. Only their hashes are kept."""

import hmac
import secrets
from enum import StrEnum
from hashlib import sha256

from gateway.sessions.model import Session


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


def resumes(session: Session, presented: str) -> bool:
    """Whether a digest is that of a resume token still good; compares both, whatever the first one says."""
    latest = same(presented, session.resume_hash)
    before = same(presented, session.previous_resume_hash)
    return latest or before


def still_good(session: Session, presented: str | None) -> str | None:
    """Which token's digest stays good beside a new one: the newest that the client is known to have.

    `presented` is the digest of the resume token that it came with, if any.
    """
    has_latest = presented is not None and same(presented, session.resume_hash)
    if has_latest or session.previous_resume_hash is None:
        return session.resume_hash
    return session.previous_resume_hash
