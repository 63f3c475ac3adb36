"""Keyrings: what opens a namespace, and for how long."""

import hmac
from collections.abc import Callable
from dataclasses import replace
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.sessions.keys import (
    MAX_KEYS,
    Key,
    Keyring,
    KeysError,
    KeyState,
    Namespace,
    NewKey,
    is_key,
    key_hash,
    verifier,
)
from gateway.sessions.limits import Limits
from gateway.sessions.tickets import new_secret

NOW = 1_700_000_000.0


def opens(ring: Keyring, made: NewKey, now: float = NOW) -> bool:
    """Whether a key opens its namespace, which both ways of presenting it must agree on."""
    by_bearer = ring.by_bearer(made.bearer, now)
    by_hash = ring.by_hash(made.namespace_id, made.key_hash, now)
    assert by_bearer == by_hash
    assert by_bearer is None or by_bearer.id == made.namespace_id
    return by_bearer is not None


def test_a_key_opens_its_namespace_and_nothing_else() -> None:
    """By its secret or the hash of that; another namespace's name, prefix or secret open nothing."""
    ring, mine = Keyring().with_key("mine", NOW)
    ring, theirs = ring.with_key("theirs", NOW)
    assert opens(ring, mine)
    assert opens(ring, theirs)
    assert ring.by_bearer(f"{mine.prefix}.{theirs.secret}", NOW) is None
    assert ring.by_hash("theirs", mine.key_hash, NOW) is None
    assert ring.by_hash("nobody's", mine.key_hash, NOW) is None


@settings(deadline=None)
@given(st.text(max_size=80))
def test_nothing_else_opens_anything(presented: str) -> None:
    """Whatever characters it is made of, and without an exception."""
    ring, made = Keyring().with_key("mine", NOW)
    assert ring.by_bearer(presented, NOW) is None
    assert ring.by_bearer(f"{made.prefix}.{presented}", NOW) is None
    assert ring.by_hash("mine", presented, NOW) is None
    assert ring.by_hash(presented, made.key_hash, NOW) is None


def test_what_is_kept_opens_nothing() -> None:
    """Neither as a secret nor as a hash: whoever reads the file is not let in."""
    ring, made = Keyring().with_key("mine", NOW)
    (kept,) = ring.namespaces["mine"].keys
    assert kept.verifier == verifier(key_hash(made.secret))
    assert ring.by_hash("mine", kept.verifier, NOW) is None
    assert ring.by_bearer(f"{kept.prefix}.{kept.verifier}", NOW) is None
    assert made.secret not in repr((ring, kept, made))
    assert kept.verifier not in repr((ring, kept))


def test_keys_are_long_and_look_like_nothing_else() -> None:
    """At least 128 bits of secret; a ticket has no dot, so it is never taken for a key."""
    _, made = Keyring().with_key("mine", NOW)
    assert len(made.secret) * 6 >= 128
    assert is_key(made.bearer)
    assert not any(is_key(new_secret()) for _ in range(100))


@pytest.mark.parametrize("known", [True, False])
def test_the_unknown_is_compared_as_often_as_the_known(known: bool) -> None:
    """So the time that a refusal takes doesn't tell whether there is such a prefix or namespace."""
    ring, made = Keyring().with_key("mine", NOW)
    prefix, namespace = (made.prefix, "mine") if known else ("utzzzzzzzz", "nobody's")
    with patch("hmac.compare_digest", wraps=hmac.compare_digest) as compared:
        assert ring.by_bearer(f"{prefix}.wrong", NOW) is None
        assert compared.call_count == 1
        assert ring.by_hash(namespace, "0" * 64, NOW) is None
        assert compared.call_count == 1 + MAX_KEYS


def test_after_a_rotation_the_old_key_is_good_for_the_overlap() -> None:
    """And not a moment longer; a second rotation doesn't lengthen it."""
    ring, old = Keyring().with_key("mine", NOW)
    ring, new = ring.rotated("mine", NOW, 3_600.0)
    assert opens(ring, old, NOW + 3_599.0)
    assert not opens(ring, old, NOW + 3_600.0)
    assert opens(ring, new, NOW + 1e9)
    ring, newest = ring.rotated("mine", NOW + 1_800.0, 3_600.0)
    assert not opens(ring, old, NOW + 3_600.0)
    assert opens(ring, new, NOW + 5_399.0)
    assert opens(ring, newest, NOW + 1e9)
    states = [key.state(NOW + 3_600.0) for key in ring.namespaces["mine"].keys]
    assert states == [KeyState.EXPIRED, KeyState.ENDING, KeyState.GOOD]


def test_a_revoked_key_is_worth_nothing_at_once() -> None:
    """By its prefix, or with all of its namespace; others stay good."""
    ring, one = Keyring().with_key("mine", NOW)
    ring, two = ring.with_key("mine", NOW)
    ring, theirs = ring.with_key("theirs", NOW)
    ring = ring.revoked(one.prefix, NOW)
    assert (opens(ring, one), opens(ring, two)) == (False, True)
    ring = ring.without("mine", NOW)
    assert (opens(ring, two), opens(ring, theirs)) == (False, True)


def test_limits_stay_unless_new_ones_are_given() -> None:
    """A rotation changes keys only."""
    ring, _ = Keyring().with_key("mine", NOW, Limits(10, 5))
    ring, _ = ring.rotated("mine", NOW, 0.0)
    assert ring.namespaces["mine"].limits == Limits(10, 5)
    ring, _ = ring.with_key("mine", NOW, Limits(11))
    assert ring.namespaces["mine"].limits == Limits(11)


def test_what_there_is_not_cant_be_changed() -> None:
    """Each mistake is told in words of its own."""
    ring, made = Keyring().with_key("mine", NOW)
    with pytest.raises(KeysError, match="no namespace other"):
        ring.rotated("other", NOW, 1.0)
    with pytest.raises(KeysError, match="no namespace other"):
        ring.without("other", NOW)
    with pytest.raises(KeysError, match="no key utaaaaaaaa"):
        ring.revoked("utaaaaaaaa", NOW)
    for name in ("", ".", "a b", "a" * 65, "ä", "a/b", "a\n"):
        with pytest.raises(KeysError, match="named by"):
            ring.with_key(name, NOW)
    with pytest.raises(KeysError, match="two keys"):
        Keyring({**ring.namespaces, "other": Namespace("other", ring.namespaces["mine"].keys)})
    key = Key(prefix=made.prefix, verifier="0" * 64, created_at=NOW)
    with pytest.raises(KeysError, match="prefix"):
        replace(key, prefix="x")
    with pytest.raises(KeysError, match="verifier"):
        replace(key, verifier="0")


class Rotation(RuleBasedStateMachine):
    """Any order of makings, rotations, revocations and waits, beside a list of what should be good."""

    @initialize()
    def begin(self) -> None:
        self.now = NOW
        self.ring = Keyring()
        self.until: dict[NewKey, float] = {}

    @rule(hours=st.integers(0, 30))
    def wait(self, hours: int) -> None:
        self.now += hours * 3_600

    @rule()
    def make(self) -> None:
        self._add(lambda: self.ring.with_key("mine", self.now))

    @rule(hours=st.integers(0, 30))
    def rotate(self, hours: int) -> None:
        overlap_s = hours * 3_600.0
        if "mine" in self.ring.namespaces and self._add(
            lambda: self.ring.rotated("mine", self.now, overlap_s)
        ):
            for one in list(self.until)[:-1]:
                self.until[one] = min(self.until[one], self.now + overlap_s)

    @rule(which=st.integers(0, MAX_KEYS))
    def revoke(self, which: int) -> None:
        good = self._good()
        if which < len(good):
            self.ring = self.ring.revoked(good[which].prefix, self.now)
            self.until[good[which]] = 0.0

    @invariant()
    def those_are_good_that_should_be(self) -> None:
        for one, until in self.until.items():
            assert opens(self.ring, one, self.now) == (self.now < until)
        assert all(len(one.keys) <= MAX_KEYS for one in self.ring.namespaces.values())

    def _good(self) -> list[NewKey]:
        return [one for one, until in self.until.items() if self.now < until]

    def _add(self, act: Callable[[], tuple[Keyring, NewKey]]) -> bool:
        try:
            self.ring, made = act()
        except KeysError:
            assert len(self._good()) == MAX_KEYS
            return False
        self.until[made] = float("inf")
        return True


TestRotation = Rotation.TestCase
TestRotation.settings = settings(deadline=None)
