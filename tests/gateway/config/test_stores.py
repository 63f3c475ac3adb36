"""What says where a database is: whose server that is must be said, and what can't be is told at once."""

import pytest

from gateway.config.problems import Refused
from gateway.config.stores import database


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://undertone@127.0.0.1/undertone",
        "postgres://u:p%2Fp@[::1]:5432,b.example:5433/x?target_session_attrs=read-write",
        "postgresql:///undertone?host=/run/postgresql",
        "postgresql://u@/undertone?host=a,b&port=1,2",
        "postgresql://%2Frun%2Fpostgresql/undertone",
        "postgresql://a/x?sslmode=verify-full&sslrootcert=/etc/ssl/ca.pem",
        "postgresql://a/x?password=p@p",
    ],
)
def test_a_database_is_named_with_its_host(url: str) -> None:
    """In its usual place, as an option, or as the folder of a Unix socket."""
    assert database(url) == url


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("postgresql://", "no host"),
        ("postgresql:///undertone", "no host"),
        ("postgresql://u:p@/undertone", "no host"),
        ("postgresql:///undertone?host=", "can't be read|no host"),
        ("postgresql:///undertone?user=u&service=x", "no host"),
        ("postgresql://:5432/undertone", "host"),
        ("postgresql://a,,b/undertone", "host"),
        ("postgresql://a:port/undertone", "port"),
        ("postgresql://a:70000/undertone", "port"),
        ("postgresql:///x?host=/run&port=x", "port"),
        ("postgresql://a/x?sslmode=perhaps", "sslmode"),
        ("postgresql://a/x?sslmode", "options"),
    ],
)
def test_what_names_no_database(url: str, why: str) -> None:
    """The driver would look elsewhere for what is missing."""
    with pytest.raises(Refused, match=why):
        database(url)


@pytest.mark.parametrize("password", ["s3cr3t/x", "s3cr3t?x", "s3cr3t#x", "s3cr3t@x", "1/s3cr3t"])
def test_what_must_be_escaped_in_a_password(password: str) -> None:
    """Is said, and how it is written."""
    with pytest.raises(Refused) as refused:
        database(f"postgresql://u:{password}@a/x")
    assert "%2F" in refused.value.hint
    assert "s3cr3t" not in f"{refused.value.message} {refused.value.hint}"
