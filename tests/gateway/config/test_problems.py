"""What is told of values that may hold a password."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.problems import shown, whole

SECRET = "s3cr3t"
PRINTABLE = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=12)
FORMS = (
    "valkey://u:{}@host:6379/0",
    "valkey://:{}@host",
    "valkey:/u:{}@host",
    "u:{}@host",
    "valkey://a/0?prefix=a:b,redis://u:{}@host",
    "postgresql://u@host/db?user=u&password={}&sslmode=require",
    "postgresql://u:p@host/db?SSLPassWord={}",
    "valkey+sentinel://u:p@a,b/main?sentinel_password={}",
    "host=a user=u password={}",
    "host=a user=u password = '{}' dbname=x",
)


@given(st.sampled_from(FORMS), PRINTABLE, PRINTABLE)
def test_no_password_is_shown_whatever_it_holds(form: str, before: str, after: str) -> None:
    """Escaped or not, wherever it stands."""
    url = form.format(f"{before}{SECRET}{after}")
    assert SECRET not in whole(url)
    assert SECRET not in shown(url)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("valkey://u:p@host:6379/0", "valkey://…@host:6379/0"),
        ("valkey://:s3cr3t/p@ss@host", "valkey://…@host"),
        ("postgresql://host/db?user=u&password=p", "postgresql://host/db?user=u&password=(hidden)"),
        ("postgresql://u:p@host/db?password=p", "postgresql://…@host/db?password=(hidden)"),
        ("postgresql://host/db?password=p@q", "postgresql://…"),
        ("valkey://u:password=@host", "valkey://…"),
        ("password@example", "password@example"),
        ("/run/undertone@8522.sock", "/run/undertone@8522.sock"),
        ("http://127.0.0.1:8523,http://[::1]:8523", "http://127.0.0.1:8523,http://[::1]:8523"),
    ],
)
def test_what_is_left_of_an_address(value: str, told: str) -> None:
    """All that is no secret, where the two can be told apart."""
    assert whole(value) == told
