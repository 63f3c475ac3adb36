"""The PEM files that a store's URL names, tried before anybody is connected to."""

import ssl

from gateway.errors import StoreUnsuitable


def check_pem(
    url: str,
    authorities: tuple[str, str | None],
    certificate: tuple[str, str | None],
    key: tuple[str, str | None],
    password: str = "",
) -> None:
    """Load them as the driver will.

    Args:
        url: whose URL it is that names them, for the message.
        authorities: what the option is called, and the file, if any; the same for the others.
        password: the key's.

    Raises:
        StoreUnsuitable: one can't be read, or holds something else.
    """
    for option, path in (authorities, certificate, key):
        try:
            if path is not None:
                with open(path, "rb"):
                    pass
        except OSError as error:
            raise StoreUnsuitable(f"{option} in {url} can't be read: {error.strerror}") from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if authorities[1] is not None:
            context.load_verify_locations(cafile=authorities[1])
    except ssl.SSLError:
        raise StoreUnsuitable(f"{authorities[0]} in {url} holds no certificate (PEM)") from None
    try:
        if certificate[1] is not None and key[1] is not None:
            context.load_cert_chain(certificate[1], key[1], password=lambda: password)
    except ssl.SSLError:
        told = f"{certificate[0]} and {key[0]} in {url} are no certificate and its key (PEM)"
        raise StoreUnsuitable(told) from None
