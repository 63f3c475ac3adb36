"""`undertone classify`: its flags as settings, and what it says when it is up."""

import argparse
import os
import socket

_SETTINGS = {
    "host": "UNDERTONE_SIDECAR_HOST",
    "port": "UNDERTONE_SIDECAR_PORT",
    "uds": "UNDERTONE_SIDECAR_UDS",
    "token_file": "UNDERTONE_SIDECAR_TOKEN_FILE",
    "classifier": "UNDERTONE_SIDECAR_CLASSIFIER",
    "workers": "UNDERTONE_CLASSIFY_WORKERS",
}
"""Flag → the environment variable that it stands for."""
_PATHS = ("uds", "token_file")
"""Flags whose values begin where the command is given."""


def add_classify(parser: argparse.ArgumentParser) -> None:
    """The flags of `undertone classify`."""
    parser.add_argument("--host", help="address to listen on (UNDERTONE_SIDECAR_HOST)")
    parser.add_argument("--port", help="port to listen on, 0 for any free one (UNDERTONE_SIDECAR_PORT)")
    parser.add_argument(
        "--uds",
        metavar="PATH",
        help="listen on a Unix socket instead (UNDERTONE_SIDECAR_UDS)",
    )
    parser.add_argument(
        "--token-file",
        metavar="FILE",
        help="ask callers for the token in this file (UNDERTONE_SIDECAR_TOKEN_FILE)",
    )
    parser.add_argument(
        "--classifier", metavar="NAME", help="what to serve (UNDERTONE_SIDECAR_CLASSIFIER; default acoustic)"
    )
    parser.add_argument(
        "--workers",
        metavar="N",
        help="workers of the classifier (UNDERTONE_CLASSIFY_WORKERS; default: measured at the start)",
    )


CLASSIFY_ABOUT = """\
Run a sidecar until Ctrl-C: a process that classifies windows for gateways, over
HTTP. Gateways and sidecars scale apart, and several gateways may share one.
Settings: docs/settings.md; the contract: docs/classifiers/sidecar.md."""


def given(arguments: argparse.Namespace) -> dict[str, str]:
    """What the flags say, as environment variables."""
    said = {flag: getattr(arguments, flag) for flag in _SETTINGS}
    return {
        _SETTINGS[flag]: os.path.abspath(value) if flag in _PATHS else value
        for flag, value in said.items()
        if value is not None
    }


def announcement(listener: socket.socket, base: str, classifier: str) -> str:
    """What is said once it listens.

    Args:
        base: its URL; empty where it listens on a Unix socket.
    """
    where = f"unix://{listener.getsockname()}" if listener.family is socket.AF_UNIX else base
    return (
        f"Undertone classifies ({classifier}) on {where}\n\n"
        f"  a gateway     UNDERTONE_CLASSIFIER=remote UNDERTONE_CLASSIFIER_URL={where} undertone serve\n"
        f"  one window    POST {base}/classify\n"
        f"  batches       POST {base}/v1/classify/batch\n"
        f"  health        {base}/health   {base}/metrics\n\n"
        "Ctrl-C ends it.\n"
    )
