"""What sidecars and orchestrators are told in place of a session's id."""

import base64
import hashlib
import re

from hypothesis import given
from hypothesis import strategies as st

from gateway.classify.sidecar.pseudonym import LENGTH, pseudonym


def test_it_never_changes() -> None:
    """Neither from node to node nor from start to start: models keep context by it."""
    assert pseudonym("q2tVbZ0mRk6hY1sXo9nEaw") == "sLkKk8LJ3ZTIgwGHjfdVng"


def test_no_session_has_none() -> None:
    """A sidecar takes the empty name for nobody's."""
    assert pseudonym("") == ""


@given(st.text(min_size=1))
def test_it_is_a_hash_of_its_own(session: str) -> None:
    """Keyed by its purpose, so that it is found in no other list of hashes; safe in URLs."""
    found = pseudonym(session)
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", found)
    assert len(found) == LENGTH
    digest = hashlib.blake2b(session.encode(), digest_size=16, person=b"sidecar").digest()
    assert base64.urlsafe_b64decode(f"{found}==") == digest
