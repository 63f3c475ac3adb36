"""`undertone`: the command line's front door. The only module that may import the application."""

import argparse
import contextlib
import errno
import functools
import logging
import os
import pathlib
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from gateway import build
from gateway.commands.exits import CommandError, ExitCode
from gateway.commands.invocation import undertone
from gateway.commands.parsers import parse
from gateway.commands.words import clean

if TYPE_CHECKING:
    from gateway.server.lifespan import CannotStart
    from gateway.server.member import Member
    from gateway.settings import Settings

_START_S = 30.0
"""Seconds a gateway inside the demo may take to start"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. Errors become one line, never a traceback."""
    if sys.stderr is None or sys.stdout is None:  # closed by the shell
        if sys.stderr is not None:
            sys.stderr.write("undertone: standard output is closed; `>/dev/null` discards it\n")
        return int(ExitCode.USAGE)
    arguments = parse(sys.argv[1:] if argv is None else argv)
    try:
        status = int(_COMMANDS[arguments.command](arguments))
        sys.stdout.flush()
        return status
    except CommandError as error:
        for line in error.lines():
            sys.stderr.write(clean(line) + "\n")
        return int(error.code)
    except BrokenPipeError:
        # The interpreter flushes standard output once more at exit; there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(ExitCode.BROKEN_PIPE)
    except KeyboardInterrupt:
        return int(ExitCode.INTERRUPTED)
    except OSError as error:
        # Connections and files have errors of their own: what is left is our output, such as a full disk.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.stderr.write(f"undertone: cannot write the output: {error.strerror or error}\n")
        return int(ExitCode.USAGE)


def _serve(arguments: argparse.Namespace) -> int:
    from gateway.server.listening import CannotListen
    from gateway.settings import Settings, SettingsError, explain
    from gateway.telemetry.logging import configure

    given = {
        "UNDERTONE_HOST": arguments.host,
        "UNDERTONE_PORT": arguments.port,
        "UNDERTONE_HANDOVER": arguments.handover,
        "UNDERTONE_PROCESSES": arguments.processes,
    }
    environ = {**os.environ, **{name: value for name, value in given.items() if value is not None}}
    try:
        settings = Settings.load(environ, arguments.config)
        configure(settings.log_level, settings.log_format, settings.node_name)
        if settings.processes > 1 and arguments.member is None:
            return _supervise(settings, environ, arguments.config)
        return _serve_alone(settings, arguments.member)
    except SettingsError as error:
        raise CommandError("the settings can't be used:\n" + explain(error.problems)) from None
    except CannotListen as error:
        raise CommandError(str(error), hint=error.hint or _listen_hint(error)) from None


def _serve_alone(settings: "Settings", member: "Member | None") -> int:
    """This process serves; as one of several where it is a `member`."""
    from gateway.app import create_app
    from gateway.server.entrance import open_entrance
    from gateway.server.lifespan import CannotStart
    from gateway.server.run import run
    from gateway.telemetry.logging import logging_config

    entrance = open_entrance(settings, os.environ) if member is None else member.entrance()
    app = create_app(settings)
    config = logging_config(settings.log_level, settings.log_format, settings.node_name)
    base = _base_url(entrance.listener)
    announce = functools.partial(_announce, base) if member is None else member.announce
    try:
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises the signal again once all is closed
            return run(app, settings, entrance, config, announce)
    except CannotStart as error:
        raise _store_error(error) from None
    return ExitCode.OK


def _store_error(error: "CannotStart") -> CommandError:
    from gateway.commands.upkeep import store_error
    from gateway.errors import StoreUnavailable

    told = store_error(error.reason)
    if isinstance(error.reason, StoreUnavailable):
        told.hint = f"{told.hint} With UNDERTONE_STORE_REQUIRED=false a node starts, and waits for it."
    return told


def _supervise(settings: "Settings", environ: Mapping[str, str], config: str | None) -> int:
    """Other processes serve."""
    from gateway.machine import host_name
    from gateway.server.ports import open_ports
    from gateway.server.supervisor import COMMAND, Supervisor

    port, own = open_ports(settings, os.environ)
    number = {"UNDERTONE_PORT": str(port.sock.getsockname()[1])}
    supervisor = Supervisor(
        settings.processes,
        port,
        own,
        {**environ, **number},
        settings.node_name or host_name(),
        functools.partial(_announce, _base_url(port.sock), settings.processes),
        grace_s=settings.drain_grace_s,
        command=COMMAND if config is None else (*COMMAND, "--config", config),
    )
    return supervisor.run()


def _classify(arguments: argparse.Namespace) -> int:
    from gateway.commands.classify import announcement, given
    from gateway.server.listening import CannotListen
    from gateway.settings import Settings, SettingsError, explain
    from gateway.sidecar.app import create_sidecar
    from gateway.sidecar.entrance import open_entrance
    from gateway.sidecar.serving import serve
    from gateway.telemetry.logging import configure, logging_config

    try:
        settings = Settings.load({**os.environ, **given(arguments)}, arguments.config)
        configure(settings.log_level, settings.log_format)
        app = create_sidecar(settings)
        entrance = open_entrance(settings)
    except SettingsError as error:
        raise CommandError("the settings can't be used:\n" + explain(error.problems)) from None
    except CannotListen as error:
        hint = error.hint or "--host and --port, or --uds, take another address."
        raise CommandError(str(error), hint=hint) from None
    config = logging_config(settings.log_level, settings.log_format)

    def announce() -> None:
        listener = entrance.listener
        base = "" if listener.family is socket.AF_UNIX else _base_url(listener)
        sys.stdout.write(announcement(listener, base, settings.sidecar_classifier))
        sys.stdout.flush()

    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises the signal again once all is closed
        return serve(app, settings, entrance, config, announce)
    return ExitCode.OK


def _listen_hint(error: Exception) -> str:
    cause = error.__cause__
    if isinstance(cause, OSError) and cause.errno == errno.EADDRINUSE:
        taken = "Another one may be running already; take another port:"
        return f"{taken}  --port 8524, or UNDERTONE_PORT=8524 make run"
    return "--host and --port, or UNDERTONE_HOST and UNDERTONE_PORT, take another address."


def _announce(base: str, processes: int = 1) -> None:
    where = "" if base.endswith(":8522") else f" --url {base}"
    socket_url = base.replace("http", "ws", 1) + "/ws/voice"
    compiled = " (compiled)" if build.compiled() else ""
    several = f", in {processes} processes" if processes > 1 else ""
    sys.stdout.write(
        f"Undertone{compiled} listens on {base}{several}\n\n"
        f"  a recording   {undertone('stream')}{where} talk.wav\n"
        f"  WebSocket     {socket_url}\n"
        f"  REST          {base}/api/v1/sessions\n"
        f"  health        {base}/readyz   {'' if several else f'{base}/metrics'}".rstrip()
        + "\n\n"
        "Ctrl-C ends it.\n"
    )
    sys.stdout.flush()


def _base_url(sock: socket.socket) -> str:
    """The address to type, which a wildcard is not."""
    host, port = sock.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextlib.contextmanager
def _embedded_gateway() -> Iterator[str]:
    """A gateway with default settings on a free loopback port, in a thread of its own; yields its URL."""
    from gateway.app import create_app
    from gateway.server.entrance import Entrance
    from gateway.server.listening import listen
    from gateway.server.run import Server
    from gateway.settings import Settings

    logging.basicConfig(level=logging.ERROR, format="%(message)s")
    settings = Settings.load({})
    sock = listen("127.0.0.1", 0)
    ready = threading.Event()
    server = Server(create_app(settings), settings, Entrance(sock), None, ready.set)
    thread = threading.Thread(target=server.run, args=([sock],), name="undertone-gateway", daemon=True)
    thread.start()
    try:
        if not ready.wait(_START_S):
            raise CommandError("the gateway inside the demo did not start", code=ExitCode.UNREACHABLE)
        yield _base_url(sock)
    finally:
        server.should_exit = True
        thread.join(settings.drain_grace_s)
        sock.close()


def _stream(arguments: argparse.Namespace) -> int:
    from gateway.commands.dispatch import run_stream

    return run_stream(arguments)


def _demo(arguments: argparse.Namespace) -> int:
    from gateway.commands.dispatch import run_demo

    return run_demo(arguments, _embedded_gateway)


def _load(arguments: argparse.Namespace) -> int:
    from gateway.commands.dispatch import run_load

    return run_load(arguments)


def _keys(arguments: argparse.Namespace) -> int:
    from gateway.clock import SystemClock
    from gateway.commands.keys import run_keys
    from gateway.stores import keyfile

    return run_keys(arguments, os.environ, keyfile, SystemClock(), sys.stdout, sys.stderr)


def _check_config(arguments: argparse.Namespace) -> int:
    from gateway.classify.kserve.model import read_spec
    from gateway.classify.onnx.configured import check_model
    from gateway.clock import SystemClock
    from gateway.commands.check_config import check_config
    from gateway.stores.configured import configured_stores
    from gateway.stores.keyfile import configured_keys
    from gateway.telemetry.sharing import SharingCounts
    from gateway.transcribe.whisper.configured import check_whisper

    def also(settings: "Settings") -> None:
        configured_keys(settings, SystemClock())
        configured_stores(settings, SystemClock(), SharingCounts())  # connects to nothing
        check_model(settings)
        check_whisper(settings)
        if settings.kserve_model_file is not None:
            read_spec(pathlib.Path(settings.kserve_model_file), most_s=settings.classify_timeout_s)

    status = check_config(os.environ, arguments.config, sys.stdout, sys.stderr, also)
    if status is ExitCode.OK and arguments.connect:
        from gateway.commands.upkeep import loaded, try_stores
        from gateway.stores.upkeep import connected

        try_stores(loaded(arguments, os.environ), connected, sys.stdout)
    return status


def _migrate(arguments: argparse.Namespace) -> int:
    from gateway.commands.upkeep import run_migrate
    from gateway.stores.upkeep import migrate

    return run_migrate(arguments, os.environ, migrate, sys.stdout)


def _erase(arguments: argparse.Namespace) -> int:
    from gateway.commands.upkeep import run_erase
    from gateway.stores.upkeep import connected

    return run_erase(arguments, os.environ, connected, sys.stdin, sys.stdout)


_COMMANDS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "serve": _serve,
    "stream": _stream,
    "demo": _demo,
    "load": _load,
    "classify": _classify,
    "keys": _keys,
    "migrate": _migrate,
    "erase": _erase,
    "check-config": _check_config,
}

if __name__ == "__main__":
    sys.exit(main())
