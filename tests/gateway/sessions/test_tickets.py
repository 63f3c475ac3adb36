"""Secrets, their digests, and which resume tokens are good."""

import re

from hypothesis import given
from hypothesis import strategies as st

from gateway.sessions.tickets import digest, new_secret, resumes, same, still_good
from tests.gateway.sessions.kit import session


def test_secrets_are_at_least_128_random_bits_and_fit_a_subprotocol_name() -> None:
    """32 characters of base64url are 192 bits, without padding, and none of 1,000 repeats."""
    secrets = {new_secret() for _ in range(1_000)}
    assert len(secrets) == 1_000
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{32}", one) for one in secrets)


def test_a_digest_is_sha_256_in_hexadecimal() -> None:
    """FIPS 180-2, appendix B.1."""
    assert digest("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@given(presented=st.text(alphabet="ab", max_size=3), kept=st.none() | st.text(alphabet="ab", max_size=3))
def test_same_is_equality_and_none_equals_nothing(presented: str, kept: str | None) -> None:
    """The comparison in constant time says what the plain one would; a missing hash lets nobody in."""
    assert same(presented, kept) == (kept is not None and presented == kept)


def test_the_latest_and_the_previous_token_resume() -> None:
    """Both are good until the previous one is dropped."""
    one = session(resume_hash="new", previous_resume_hash="old")
    assert resumes(one, "new")
    assert resumes(one, "old")
    assert not resumes(one, "older")
    assert not resumes(session(resume_hash="new"), "old")
    assert not resumes(session(), "")


def test_the_token_that_the_client_is_known_to_have_stays_good() -> None:
    """Whoever shows the latest has it; whoever doesn't may never have got it, and keeps the one before."""
    assert still_good(session(), None) is None
    assert still_good(session(resume_hash="first"), None) == "first"
    unconfirmed = session(resume_hash="new", previous_resume_hash="old")
    assert still_good(unconfirmed, "new") == "new"
    assert still_good(unconfirmed, "old") == "old"
    assert still_good(unconfirmed, None) == "old"
