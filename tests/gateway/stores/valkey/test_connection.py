"""Servers that won't do, servers that fail, and what is said of them."""

import asyncio
import logging
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.clock import ManualClock
from gateway.errors import StoreUnavailable, StoreUnsuitable
from gateway.sessions.shared import Commit, Committed
from gateway.stores.valkey.connection import ValkeyConnection
from gateway.stores.valkey.sessions import ValkeySessionStore
from gateway.stores.valkey.streams import ValkeyStreamStore
from gateway.stores.valkey.suitability import check, parse_info
from gateway.stores.valkey.tickets import ValkeyTicketStore
from gateway.stores.valkey.url import Kind, parse
from tests import stores
from tests.gateway.sessions.kit import entry, run, session
from tests.needs import need_command
from tests.peers import free_port
from tests.stores import connected, server, shared, until

GOOD = {"redis_version": "7.0.15", "role": "master", "maxmemory": "0", "maxmemory_policy": "noeviction"}


async def works(url: str) -> None:
    """Each store does something there."""
    async with connected(url) as connection:
        sessions = ValkeySessionStore(connection)
        one = session(namespace_id="n", user_id="u")
        await sessions.create(one)
        assert await sessions.list() == [one]
        streams = ValkeyStreamStore(connection, ManualClock())
        claim = await streams.claim(one.id, "a")
        assert await streams.commit([Commit(one.id, claim.gen, [entry(1)])]) == [Committed.DONE]
        assert len(await streams.newer({one.id: 0}, 1.0)) == 1
        assert await streams.newer({one.id: 1}, 0.05) == {}


class TestSuitability:
    @pytest.mark.parametrize(
        ("changed", "why"),
        [
            ({"redis_version": "6.2.7"}, "has version 6.2.7"),
            ({"redis_version": ""}, "version unknown"),
            ({"role": "slave"}, "read-only replica"),
            ({"role": "", "redis_mode": "sentinel"}, "valkey\\+sentinel"),
            ({"role": "", "server_mode": "sentinel"}, "valkey\\+sentinel"),
            ({"cluster_enabled": "1"}, "valkey\\+cluster"),
            ({"maxmemory": "100", "maxmemory_policy": "allkeys-lru"}, "allkeys-lru"),
        ],
    )
    def test_what_will_not_do(self, changed: Mapping[str, str], why: str) -> None:
        """The message says what to change."""
        with pytest.raises(StoreUnsuitable, match=why):
            check({**GOOD, **changed}, "here", Kind.SINGLE)

    @pytest.mark.parametrize(
        "changed",
        [
            {},
            {"redis_version": "7.2.4", "valkey_version": "8.1.0"},
            {"maxmemory": "100"},
            {"maxmemory_policy": "allkeys-lru"},
        ],
    )
    def test_what_will_do(self, changed: Mapping[str, str], caplog: pytest.LogCaptureFixture) -> None:
        """An evicting policy without a limit evicts nothing."""
        check({**GOOD, **changed}, "here", Kind.SINGLE)
        assert not caplog.records

    def test_what_is_risky_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        """Everything here has a time to live, so a volatile policy may evict it."""
        with caplog.at_level(logging.WARNING):
            check({**GOOD, "maxmemory": "100", "maxmemory_policy": "volatile-lru"}, "here", Kind.SINGLE)
        assert "volatile-lru" in caplog.text

    def test_reading_what_a_server_says(self) -> None:
        """Headings and empty lines are passed over."""
        assert parse_info(b"# Server\r\nredis_version:7.0.15\r\n\r\nos:a:b\r\n") == {
            "redis_version": "7.0.15",
            "os": "a:b",
        }


class TestServers:
    def test_nobody_there(self) -> None:
        """Said at the start."""

        async def scenario() -> None:
            with pytest.raises(StoreUnavailable, match="can't be reached"):
                async with connected(f"valkey://127.0.0.1:{free_port()}"):
                    pass

        run(scenario())

    def test_a_server_that_says_nothing(self) -> None:
        """An exchange ends in time, and says so."""

        async def scenario() -> None:
            heard: list[asyncio.StreamWriter] = []
            silent = await asyncio.start_server(lambda _, writer: heard.append(writer), "127.0.0.1", 0)
            port = silent.sockets[0].getsockname()[1]
            target = parse(f"valkey://127.0.0.1:{port}?timeout_s=0.1")
            connection = ValkeyConnection(target)
            with pytest.raises(StoreUnavailable, match="in time"):
                await connection.start()
            await connection.close()
            silent.close()
            for writer in heard:
                writer.close()
                await writer.wait_closed()

        run(scenario())

    def test_a_cluster_that_is_none(self) -> None:
        """The URL's scheme is what is wrong."""

        async def scenario() -> None:
            with pytest.raises(StoreUnsuitable, match="no cluster"):
                async with connected(shared().url.replace("valkey:", "valkey+cluster:")):
                    pass

        run(scenario())

    def test_a_user_of_its_own(self, tmp_path: Path) -> None:
        """It needs its own keys and a few commands, no more; a wrong password and too few rights are told."""
        with server(tmp_path) as one:
            rights = "+@read +@write +@scripting +@connection +@blocking -@dangerous +info +time"
            one.cli("ACL", "SETUSER", "app", "on", ">geheim", "~test-*", "resetchannels", *rights.split())
            one.cli("ACL", "SETUSER", "poor", "on", ">geheim", "~other*", "+@all")
            one.cli("ACL", "SETUSER", "blind", "on", ">geheim", "~test-*", *rights.split(), "-info")
            one.cli("ACL", "SETUSER", "default", "off")

            async def scenario() -> None:
                at = f"127.0.0.1:{one.port}"
                await works(f"valkey://app:geheim@{at}")
                await works(f"valkey://blind:geheim@{at}")
                for url, why in (
                    (f"valkey://app:falsch@{at}", "WRONGPASS"),
                    (f"valkey://{at}", "NOAUTH"),
                    (f"valkey://poor:geheim@{at}", "NOPERM"),
                ):
                    with pytest.raises(StoreUnsuitable, match=why) as refused:
                        await works(url)
                    assert not {"geheim", "falsch"} & set(str(refused.value).split())

            run(scenario())

    def test_a_full_memory(self, tmp_path: Path) -> None:
        """Nothing is written, which is told; reading and deleting go on, and make room."""
        with server(tmp_path, "--maxmemory-policy", "noeviction") as one:

            async def scenario() -> None:
                async with connected(one.url) as connection:
                    sessions, tickets = ValkeySessionStore(connection), ValkeyTicketStore(connection)
                    streams = ValkeyStreamStore(connection, ManualClock())
                    kept, more = session(), session()
                    await sessions.create(kept)
                    claim = await streams.claim("s", "a")
                    one.cli("CONFIG", "SET", "maxmemory", "1")
                    for write in (
                        sessions.create(more),
                        sessions.update(kept, 1),
                        streams.commit([Commit("s", claim.gen, [entry(1)])]),
                        streams.claim("s", "b"),
                    ):
                        with pytest.raises(StoreUnavailable, match="OOM"):
                            await write
                    assert await sessions.get(kept.id) == kept
                    assert (await streams.tail("s", 0)).top == 0
                    await tickets.revoke("s")
                    assert await sessions.delete(kept.id)
                    one.cli("CONFIG", "SET", "maxmemory", "0")
                    await sessions.create(more)
                    assert await streams.commit([Commit("s", claim.gen, [entry(1)])]) == [Committed.DONE]

            run(scenario())

    def test_a_restart_and_a_flush(self, tmp_path: Path) -> None:
        """The functions are loaded again by whoever misses them, in the middle of a batch too."""

        async def scenario() -> None:
            one = stores.start(tmp_path)
            try:
                async with connected(one.url) as connection:
                    streams = ValkeyStreamStore(connection, ManualClock())
                    await streams.claim("s", "a")
                    one.stop()
                    with pytest.raises(StoreUnavailable):
                        await streams.claim("s", "a")
                    with pytest.raises(StoreUnavailable):
                        await streams.newer({"s": 0}, 5.0)
                    one = stores.start(tmp_path, port=one.port)
                    assert await streams.commit([Commit("s", 1, [entry(1)])] * 3) == [Committed.UNKNOWN] * 3
                    claim = await streams.claim("s", "a")
                    one.cli("FUNCTION", "FLUSH")
                    done = await asyncio.gather(
                        *(streams.commit([Commit("s", claim.gen, [entry(1)])]) for _ in range(20))
                    )
                    assert sorted(str(answer) for (answer,) in done) == ["done"] + ["misplaced"] * 19
            finally:
                one.stop()

        run(scenario())

    def test_a_read_only_replica(self, tmp_path: Path) -> None:
        """At the start it will not do; a server that becomes one is told of, too."""
        (tmp_path / "b").mkdir()
        with server(tmp_path, *stores.QUICK) as master, server(tmp_path / "b") as other:

            async def scenario() -> None:
                async with connected(other.url) as connection:
                    sessions = ValkeySessionStore(connection)
                    await sessions.create(session())
                    other.cli("REPLICAOF", "127.0.0.1", str(master.port))
                    until(lambda: "master_link_status:up" in other.cli("INFO"), "replicating")
                    with pytest.raises(StoreUnavailable, match="READONLY"):
                        await sessions.create(session())
                with pytest.raises(StoreUnsuitable, match="read-only"):
                    async with connected(other.url):
                        pass

            run(scenario())

    def test_an_evicting_server(self, tmp_path: Path) -> None:
        """It will not do."""
        with server(tmp_path, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru") as one:

            async def scenario() -> None:
                with pytest.raises(StoreUnsuitable, match="allkeys-lru"):
                    async with connected(one.url):
                        pass

            run(scenario())

    def test_a_connection_that_the_server_has_closed(self) -> None:
        """Another one takes its place, and nobody who asks is told."""

        async def scenario() -> None:
            async with connected() as connection:
                streams = ValkeyStreamStore(connection, ManualClock())
                claim = await streams.claim("s", "a")
                # Meanwhile the event loop sees what becomes of its sockets.
                await asyncio.to_thread(shared().cli, "CLIENT", "KILL", "TYPE", "normal")
                for seq in (1, 2):
                    commit = Commit("s", claim.gen, [entry(seq)])
                    assert await streams.commit([commit]) == [Committed.DONE]

        run(scenario())

    def test_more_at_once_than_there_are_connections(self) -> None:
        """They wait for each other; and who is cancelled in the middle harms nobody."""

        async def scenario() -> None:
            async with connected(f"{shared().url}?connections=2") as connection:
                sessions = ValkeySessionStore(connection)
                made = [session() for _ in range(200)]
                tasks = [asyncio.create_task(sessions.create(one)) for one in made]
                await asyncio.sleep(0.005)
                for task in tasks[1::2]:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                found = await asyncio.gather(*(sessions.get(one.id) for one in made[::2]))
                assert found == made[::2]

        run(scenario())


class TestTls:
    def test_certificates(self, tmp_path: Path) -> None:
        """Trusted with the authority's file, for the name it was made for; not otherwise."""
        _certificate(tmp_path)
        files = [f"--tls-{what}-file" for what in ("cert", "key", "ca-cert")]
        names = [str(tmp_path / name) for name in ("cert.pem", "key.pem", "cert.pem")]
        options = [word for pair in zip(files, names, strict=True) for word in pair]
        with server(tmp_path, *options, "--tls-auth-clients", "no", tls=True) as one:

            async def scenario() -> None:
                at = f"localhost:{one.port}"
                await works(f"valkeys://{at}?ca_file={tmp_path}/cert.pem")
                for url in (
                    f"valkeys://{at}",
                    f"valkeys://127.0.0.1:{one.port}?ca_file={tmp_path}/cert.pem",
                ):
                    with pytest.raises(StoreUnsuitable, match="certificate"):
                        await works(url)
                with pytest.raises(StoreUnsuitable, match="valkeys"):
                    await works(f"valkey://{at}")

            run(scenario())

    @pytest.mark.parametrize(
        ("query", "why"),
        [
            ("ca_file={}/none.pem", "ca_file in .* can't be read: No such file"),
            ("ca_file={}", "ca_file in .* can't be read: Is a directory"),
            ("ca_file={}/garbage", "ca_file in .* no certificate"),
            ("cert_file={0}/garbage&key_file={0}/key.pem", "cert_file and key_file"),
            ("cert_file={0}/cert.pem&key_file={0}/none", "key_file in .* can't be read"),
        ],
    )
    def test_files_that_can_t_be_used(self, tmp_path: Path, query: str, why: str) -> None:
        """That is told before anybody is connected to, and no server is blamed."""
        _certificate(tmp_path)
        (tmp_path / "garbage").write_text("no certificate")

        async def scenario() -> None:
            with pytest.raises(StoreUnsuitable, match=why):
                await works(f"valkeys://localhost:{free_port()}?{query.format(tmp_path)}")

        run(scenario())


def _certificate(folder: Path) -> None:
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    more = f"-addext subjectAltName=DNS:localhost -keyout {folder}/key.pem -out {folder}/cert.pem"
    command = [need_command("openssl"), *words.split(), *more.split()]
    subprocess.run(command, check=True, capture_output=True)
