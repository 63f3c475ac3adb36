"""What is needed to be let in at a sidecar: whom to trust, and a token. Read once, before anything opens."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

MAX_TOKEN: Final = 8_192
"""Bytes of the file with the token."""


class AccessError(Exception):
    """A file can't be used; says which, and why, and nothing of what stands in it."""

    def __init__(self, setting: str, path: str, message: str) -> None:
        super().__init__(f"{path} {message}")
        self.setting = setting
        """Name of the setting that names the file."""
        self.path = path
        self.message = message


@dataclass(frozen=True, slots=True)
class Access:
    """Shared by every sidecar of a classifier."""

    trust: ssl.SSLContext | None = None
    """Whose certificates are good; None where nobody is spoken to over TLS."""
    token: str | None = field(default=None, repr=False)
    """Sent as `Authorization: Bearer`; never logged."""

    @classmethod
    def load(
        cls, *, tls: bool = False, ca_file: str | None = None, token_file: str | None = None
    ) -> "Access":
        """Read what the files hold.

        Args:
            tls: some sidecar is spoken to over TLS.
            ca_file: PEM file of the authorities to trust instead of the system's.

        Raises:
            AccessError: a file can't be read, or holds something else.
        """
        return cls(_trust(ca_file) if tls else None, None if token_file is None else _token(token_file))


def _trust(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError:
        raise AccessError("classifier_ca_file", str(ca_file), "is no PEM file of certificates") from None
    except OSError as error:
        raise AccessError("classifier_ca_file", str(ca_file), _unreadable(error)) from None


def _token(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_TOKEN + 1)
    except OSError as error:
        raise AccessError("classifier_token_file", path, _unreadable(error)) from None
    text = data.decode("latin-1").strip()
    if not text or len(data) > MAX_TOKEN or not text.isascii() or not text.isprintable() or " " in text:
        why = "holds no token: one line of printable ASCII without blanks"
        raise AccessError("classifier_token_file", path, why)
    return text


def _unreadable(error: OSError) -> str:
    return f"can't be read: {error.strerror or type(error).__name__}"
