"""Who is let in where keys are needed, without sockets: limits, reloads, tickets."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.api import auth
from gateway.errors import Unauthorized
from gateway.sessions.keys import Keyring, NewKey
from gateway.sessions.limits import Limits
from tests.gateway.api.keyed import PATH, Keyed, play
from tests.gateway.inprocess import Peer


def _by_bearer(made: NewKey) -> tuple[dict[str, str], dict[str, str]]:
    return {"authorization": f"Bearer {made.bearer}"}, {}


def _by_hash(made: NewKey) -> tuple[dict[str, str], dict[str, str]]:
    return {}, {"namespace_id": made.namespace_id, "key_hash": made.key_hash}


@pytest.mark.parametrize("by", [_by_bearer, _by_hash])
@pytest.mark.parametrize("user", [{}, {"user_id": "ada"}])
@pytest.mark.parametrize("limits", [Limits(max_sessions=5), Limits(max_sessions_per_user=5), None])
def test_of_a_thousand_at_once_five_get_in(
    tmp_path: Path,
    by: Callable[[NewKey], tuple[dict[str, str], dict[str, str]]],
    user: dict[str, str],
    limits: Limits | None,
) -> None:
    """At a limit of five: of the namespace, of a user in it, or of the settings; the others are told when."""

    async def scenario(keyed: Keyed) -> None:
        headers, body = by(keyed.mine)
        async with keyed.client() as client:
            posts = (client.post(PATH, json={**body, **user}, headers=headers) for _ in range(1_000))
            answers = await asyncio.gather(*posts)
            made = [answer for answer in answers if answer.status_code == 201]
            refusals = [answer for answer in answers if answer.status_code == 429]
            assert (len(made), len(refusals)) == (5, 995)
            refused = refusals[0]
            assert refused.json()["code"] == "session_limit"
            assert refused.headers["retry-after"] == "30"
            one = made[0].json()["id"]
            async with keyed.client(keyed.mine) as owner:
                assert (await owner.delete(f"{PATH}/{one}")).status_code == 200
            again = await client.post(PATH, json={**body, **user}, headers=headers)
            assert again.status_code == 201

    settings = {"max_sessions_per_user": 5} if limits is None else {}
    play(tmp_path, scenario, limits, **settings)


def test_expired_sessions_make_room(tmp_path: Path) -> None:
    """After the connect deadline, without the reaper's help."""

    async def scenario(keyed: Keyed) -> None:
        async with keyed.client(keyed.mine) as client:
            assert (await client.post(PATH)).status_code == 201
            assert (await client.post(PATH)).status_code == 429
            keyed.node.clock.advance(30)
            assert (await client.post(PATH)).status_code == 201

    play(tmp_path, scenario, Limits(max_sessions=1))


def test_another_namespaces_limit_is_its_own(tmp_path: Path) -> None:
    """The same user name there is somebody else."""

    async def scenario(keyed: Keyed) -> None:
        async with keyed.client(keyed.mine) as mine, keyed.client(keyed.theirs) as theirs:
            for client in (mine, theirs):
                assert (await client.post(PATH, json={"user_id": "ada"})).status_code == 201
                assert (await client.post(PATH, json={"user_id": "bob"})).status_code == 201
                assert (await client.post(PATH, json={"user_id": "ada"})).status_code == 429

    play(tmp_path, scenario, max_sessions_per_user=1)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 401, "unauthorized"),
        ({"namespace_id": "mine"}, 401, "unauthorized"),
        ({"namespace_id": "mine", "key_hash": "0" * 64}, 401, "invalid_key_hash"),
        ({"namespace_id": "nobody's", "key_hash": "0" * 64}, 401, "invalid_key_hash"),
        ({"namespace_id": 7, "key_hash": "0" * 64}, 401, "invalid_key_hash"),
        ({"key_hash": "0" * 64}, 401, "invalid_key_hash"),
        ({"namespace_id": "mine", "key_hash": "short"}, 422, "invalid_field"),
        ({"namespace_id": "mine", "key_hash": 7}, 422, "invalid_field"),
    ],
)
def test_without_a_good_key_no_session_is_made(
    tmp_path: Path, body: dict[str, object], status: int, code: str
) -> None:
    """A wrong hash and a namespace that isn't there are told in the same words."""

    async def scenario(keyed: Keyed) -> None:
        async with keyed.client() as client:
            answer = await client.post(PATH, json=body)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        if code == "invalid_key_hash":
            assert answer.json()["detail"] == "invalid encryption key hash"
        if status == 401:
            assert answer.headers["www-authenticate"].startswith("Bearer")
        assert await keyed.node.gateway.service.count() == 0

    play(tmp_path, scenario)


def test_credentials_that_disagree_open_nothing(tmp_path: Path) -> None:
    """A key of one namespace with the name, or the hash, of another."""

    async def scenario(keyed: Keyed) -> None:
        _, theirs = _by_hash(keyed.theirs)
        async with keyed.client(keyed.mine) as client:
            for body in ({"namespace_id": "theirs"}, theirs):
                answer = await client.post(PATH, json=body)
                assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
            assert (await client.post(PATH, json=_by_hash(keyed.mine)[1])).status_code == 201

    play(tmp_path, scenario)


def test_a_key_that_is_rotated_out_or_revoked_is_refused_within_a_second(tmp_path: Path) -> None:
    """Without a restart; a session that is open goes on."""

    async def scenario(keyed: Keyed) -> None:
        async with keyed.client(keyed.mine) as client:
            made = (await client.post(PATH)).json()
            peer = await keyed.node.connect(Peer(f"session_id={made['id']}", made["ticket"]))
            rotated, new = keyed.ring.rotated("mine", keyed.node.clock.time(), 60.0)
            keyed.replace(rotated)
            assert (await client.get(f"{PATH}/{made['id']}")).status_code == 200
            keyed.node.clock.advance(60)
            assert (await client.get(f"{PATH}/{made['id']}")).status_code == 401
            async with keyed.client(new) as owner:
                assert (await owner.get(f"{PATH}/{made['id']}")).json()["status"] == "live"
                keyed.replace(keyed.ring.revoked(new.prefix, keyed.node.clock.time()))
                assert (await owner.get(f"{PATH}/{made['id']}")).status_code == 401
            assert peer.closed is None

    play(tmp_path, scenario)


def test_a_list_is_of_ones_own_sessions(tmp_path: Path) -> None:
    """Wherever the client is, whatever it filters by."""

    async def scenario(keyed: Keyed) -> None:
        async with keyed.client(keyed.mine) as mine, keyed.client(keyed.theirs) as theirs:
            made = (await mine.post(PATH, json={"agent_type": "kiosk", "user_id": "ada"})).json()
            assert made["device_type"] == "kiosk"
            for query in ({}, {"user_id": "ada"}, {"agent_type": "kiosk"}):
                listed = [(await one.get(PATH, params=query)).json()["sessions"] for one in (mine, theirs)]
                assert [[one["id"] for one in found] for found in listed] == [[made["id"]], []]
            after = [await theirs.get(PATH, params={"after": one}) for one in (made["id"], "nobody")]
            assert [one.status_code for one in after] == [409, 409]
            assert after[0].content == after[1].content
            assert (await mine.get(PATH, params={"after": made["id"]})).json()["sessions"] == []

    play(tmp_path, scenario)


def test_a_ticket_has_its_time(tmp_path: Path) -> None:
    """Thirty seconds after it was made it opens neither a socket nor a stream."""

    async def scenario(keyed: Keyed) -> None:
        async with keyed.client(keyed.mine) as client, keyed.client() as stranger:
            made = (await client.post(PATH)).json()
            query = f"session_id={made['id']}"
            owner = await keyed.node.connect(Peer(query, made["ticket"]))
            minted = [
                (await client.post(f"{PATH}/{made['id']}/tickets", json={"role": role})).json()
                for role in ("owner", "observer", "observer")
            ]
            assert {one["expires_in_s"] for one in minted} == {30}
            keyed.node.clock.advance(30)
            tickets = [one["ticket"] for one in minted]
            for role, ticket in (("owner", tickets[0]), ("observer", tickets[1])):
                late = await keyed.node.connect(Peer(f"{query}&role={role}", ticket))
                assert (late.errors, late.closed) == (["unauthorized"], 4001)
            headers = {"authorization": f"Bearer {tickets[2]}"}
            assert (await stranger.get(f"{PATH}/{made['id']}/events", headers=headers)).status_code == 401
            assert owner.closed is None

    play(tmp_path, scenario)


def test_the_older_routes_are_one_namespaces_or_nobodys(tmp_path: Path) -> None:
    """They know no credentials: without a setting they are shut, with one they keep its limits."""

    async def scenario(keyed: Keyed) -> None:
        gateway = keyed.node.gateway
        with pytest.raises(Unauthorized):
            auth.legacy_namespace(gateway)
        with pytest.raises(Unauthorized):
            await auth.legacy(gateway)
        set_ = replace(gateway, settings=replace(gateway.settings, legacy_namespace="mine"))
        assert auth.legacy_namespace(set_) == "mine"
        assert await auth.legacy(set_) == auth.Caller("mine", Limits(7))
        keyed.replace(Keyring())
        with pytest.raises(Unauthorized):
            await auth.legacy(set_)
        open_mode = replace(gateway, keys=None)
        assert (auth.legacy_namespace(open_mode), await auth.legacy(open_mode)) == (None, auth.Caller())

    play(tmp_path, scenario, Limits(7))


def test_a_session_on_the_spot_needs_a_key_and_belongs_to_its_namespace(tmp_path: Path) -> None:
    """It is within the namespace's limits, too."""

    async def scenario(keyed: Keyed) -> None:
        node = keyed.node
        assert (await node.connect(Peer())).errors == ["unauthorized"]
        assert (await node.connect(Peer(credential="A" * 32))).errors == ["unauthorized"]
        wrong = await node.connect(Peer("namespace_id=theirs", bearer=keyed.mine.bearer))
        assert (wrong.errors, wrong.closed) == (["unauthorized"], 4001)
        peer = await node.connect(Peer(bearer=keyed.mine.bearer))
        session = await node.gateway.service.get(peer.welcome.session_id)
        assert session.namespace_id == "mine"
        full = await node.connect(Peer(bearer=keyed.mine.bearer))
        assert full.closed == 4100

    play(tmp_path, scenario, Limits(max_sessions=1))


def test_tickets_are_for_one_role_and_one_use(tmp_path: Path) -> None:
    """An observer's opens nothing but what reads; a reloaded page goes on with an owner's."""

    async def scenario(keyed: Keyed) -> None:
        async with keyed.client(keyed.mine) as client:
            one = f"{PATH}/{(await client.post(PATH)).json()['id']}"
            query = f"session_id={one.rpartition('/')[2]}"

            async def ticket(role: str) -> str:
                answer = await client.post(f"{one}/tickets", json={"role": role})
                assert (answer.status_code, answer.json()["role"]) == (201, role)
                assert answer.headers["cache-control"] == "no-store"
                return str(answer.json()["ticket"])

            watching = await ticket("observer")
            peer = await keyed.node.connect(Peer(query, watching))
            assert (peer.errors, peer.closed) == (["unauthorized"], 4001)
            watching = await ticket("observer")
            watcher = await keyed.node.connect(Peer(f"{query}&role=observer", watching))
            assert watcher.welcome.resume_token is None
            again = await keyed.node.connect(Peer(f"{query}&role=observer", watching))
            assert again.errors == ["unauthorized"]
            first = await keyed.node.connect(Peer(query, await ticket("owner")))
            second = await keyed.node.connect(Peer(query, await ticket("owner")))
            assert (first.errors, second.welcome.session_id) == (["replaced"], query.partition("=")[2])
            for body in ({"role": "admin"}, {"role": 7}, {"rôle": "owner"}):
                answer = await client.post(f"{one}/tickets", json=body)
                assert (answer.status_code, answer.json()["code"]) == (422, "invalid_field")
                assert answer.json()["pointer"] == "/" + next(iter(body))

    play(tmp_path, scenario)


def test_whoever_resumes_needs_what_they_were_given(tmp_path: Path) -> None:
    """The token; or a key of the namespace. Nothing at all is not enough, though the id is known."""

    async def scenario(keyed: Keyed) -> None:
        async with keyed.client(keyed.mine) as client:
            made = (await client.post(PATH)).json()
        query = f"session_id={made['id']}&after=0"
        first = await keyed.node.connect(Peer(query, made["ticket"]))
        assert (await keyed.node.connect(Peer(query))).errors == ["unauthorized"]
        assert (await keyed.node.connect(Peer(query, "A" * 32))).errors == ["unauthorized"]
        other = await keyed.node.connect(Peer(query, bearer=keyed.theirs.bearer))
        assert (other.errors, other.closed) == (["session_not_found"], 4004)
        assert first.closed is None
        back = await keyed.node.connect(Peer(query, first.welcome.resume_token))
        assert back.welcome.recovered
        by_key = await keyed.node.connect(Peer(query, bearer=keyed.mine.bearer))
        assert by_key.welcome.recovered

    play(tmp_path, scenario)


def test_what_is_left_of_a_session_is_told_to_its_owner_only(tmp_path: Path) -> None:
    """Whoever has no good credential doesn't learn that it is over, or that it ever was."""

    async def scenario(keyed: Keyed) -> None:
        async with keyed.client(keyed.mine) as client:
            made = (await client.post(PATH)).json()
        query = f"session_id={made['id']}&after=0"
        peer = await keyed.node.connect(Peer(query, made["ticket"]))
        await peer.speak('{"type": "end"}')
        assert peer.closed == 1000
        for credential in (None, "A" * 32, made["ticket"]):
            assert (await keyed.node.connect(Peer(query, credential))).errors == ["unauthorized"]
            nobody = await keyed.node.connect(Peer("session_id=nobody&after=0", credential))
            assert nobody.errors == ["unauthorized"]
        back = await keyed.node.connect(Peer(query, peer.welcome.resume_token))
        assert (back.durable[-1].type, back.closed) == ("summary", 1000)

    play(tmp_path, scenario)


def test_an_event_stream_gives_its_reader_a_way_back(tmp_path: Path) -> None:
    """Who came by a ticket finds another one in `welcome`; who has a key needs none."""

    async def scenario(keyed: Keyed) -> None:
        async with keyed.client(keyed.mine) as client, keyed.client() as stranger:
            made = (await client.post(PATH)).json()
            one = f"{PATH}/{made['id']}"
            peer = await keyed.node.connect(Peer(f"session_id={made['id']}", made["ticket"]))
            await peer.speak('{"type": "end"}')
            minted = (await client.post(f"{one}/tickets", json={"role": "observer"})).json()["ticket"]
            for _ in range(3):
                answer = await stranger.get(f"{one}/events", headers={"authorization": f"Bearer {minted}"})
                assert answer.status_code == 200
                again = await stranger.get(f"{one}/events", headers={"authorization": f"Bearer {minted}"})
                assert again.status_code == 401
                minted = answer.text.partition('"resume_token":"')[2].partition('"')[0]
            assert (await stranger.get(f"{one}/events")).status_code == 401
            by_key = await client.get(f"{one}/events")
            assert (by_key.status_code, "resume_token" in by_key.text) == (200, False)

    play(tmp_path, scenario)


def test_the_older_routes_do_nothing_for_a_namespace_that_is_gone(tmp_path: Path) -> None:
    """The name in the settings is not enough, neither to make sessions nor to read them."""

    async def scenario(keyed: Keyed) -> None:
        async with keyed.client() as client:
            made = (await client.post("/session/start")).json()["session_id"]
            assert (await client.get(f"/session/{made}")).status_code == 200
            left = {name: one for name, one in keyed.ring.namespaces.items() if name != "mine"}
            keyed.replace(Keyring(left))
            for method, path in (("POST", "/session/start"), ("GET", f"/session/{made}/export")):
                assert (await client.request(method, path)).status_code == 401

    play(tmp_path, scenario, legacy_namespace="mine")
