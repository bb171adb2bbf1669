"""Parties that are killed, come back, are away, are full or are stopped: a right answer or a clear error."""

from __future__ import annotations

import dataclasses

import pytest
import trio
import trio.lowlevel
from service_clinic import Clinic, make_model, samples, until

from parties.service.client import UPLOAD, Client
from parties.service.server_room import ServerRoom
from parties.settings_service import ServiceSettings
from pehealth.errors import Busy, Draining, MaterialError, PeerAborted, PehealthError
from pehealth.store.leases import Lease
from transport.errors import TransportError
from transport.interfaces import Clock


def server(clinic: Clinic, name: str) -> ServerRoom:
    (room,) = clinic.parties[name].deployments.rooms.values()
    assert isinstance(room, ServerRoom)
    return room


async def ask(asking: Client, peer: str, op: str, **fields: object) -> object:
    line = await asking._lines.get(peer, 5.0)
    return await line.ask(op, within=5.0, **fields)


@pytest.mark.parametrize("victim", ["E1", "E2", "HC", "DEALER"])
async def test_a_party_that_was_killed_takes_up_what_it_had(clinic: Clinic, victim: str) -> None:
    await clinic.start()
    await clinic.deploy()
    readings = samples(3)
    async with clinic.client() as client:
        clinic.check(await client.infer(readings), readings)
        await clinic.kill(victim)
        await clinic.start(victim)
        clinic.check(await client.infer(readings), readings)
    assert [room.spec.title for room in clinic.parties[victim].deployments.rooms.values()] == ["tiny@1"]


@pytest.mark.parametrize("victim", ["E1", "E2", "HC"])
async def test_killed_in_the_middle_of_queries_they_are_asked_again_once_in_effect(clinic: Clinic, victim: str) -> None:
    """Twenty-four queries while a party dies and comes back; the centre keeps one result of each."""
    await clinic.start()
    await clinic.deploy()
    readings = samples(24)
    answers: list[object] = []

    async with clinic.client(retries=8) as client, trio.open_nursery() as nursery:

        async def infer() -> None:
            answers.extend(await client.infer(readings))

        nursery.start_soon(infer)
        while not server(clinic, "E1").in_flight or not server(clinic, "E2").in_flight:
            await trio.lowlevel.checkpoint()
        await clinic.kill(victim)
        await clinic.start(victim)
    clinic.check(answers, readings)
    spool = (clinic.folder / "HC" / "results.jsonl").read_text().splitlines()
    requests = [line.split('"request":"')[1] for line in spool]
    assert len(requests) == len(set(requests)) == 24


async def test_without_the_dealer_what_is_dealt_serves_on_and_then_the_error_says_who_is_missing(
    clinic: Clinic,
) -> None:
    clinic.service = dataclasses.replace(clinic.service, low=4, high=16, query_seconds=2.0)
    await clinic.start()
    room = await clinic.deploy()
    async with clinic.client() as client:
        await client.infer(samples(1))
        await until(lambda: room.stock.left >= 4)
        await clinic.kill("DEALER")
        left = len(room.stock._usable) - 1
        clinic.check(await client.infer(samples(4)), samples(4))
        with pytest.raises(MaterialError, match=r"no material left for tiny@1.*DEALER .* is not linked now"):
            for _ in range(left):
                await client.infer(samples(1))
        await clinic.start("DEALER")
        clinic.check(await client.infer(samples(2)), samples(2))


async def test_without_the_centre_a_client_is_told_so_in_time(clinic: Clinic) -> None:
    clinic.service = dataclasses.replace(clinic.service, query_seconds=1.0)
    await clinic.start()
    await clinic.deploy()
    async with clinic.client() as client:
        await client.infer(samples(1))
        await clinic.kill("HC")
        began = trio.current_time()
        with pytest.raises(TransportError, match="HC"):
            await client.infer(samples(1))
        assert trio.current_time() - began < 4


async def test_burnt_leases_are_replaced(clinic: Clinic) -> None:
    """A client that holds indices which a server's restart has burnt gets fresh ones, and never notices."""
    await clinic.start()
    await clinic.deploy()
    async with clinic.client() as client:
        await client.infer(samples(1))
        client._wanting = 8
        client._indices.append(await client._next_index(trio.current_time() + 5))
        await until(lambda: server(clinic, "E1")._ahead.count >= 7)
        await clinic.kill("E1")
        await clinic.start("E1")
        (answer,) = await client.infer(samples(1))
        clinic.check([answer], samples(1))
        assert answer.retries >= 1


# ---- limits


async def test_more_queries_than_are_admitted_wait_and_none_is_lost(clinic: Clinic) -> None:
    clinic.service = dataclasses.replace(clinic.service, in_flight=2, in_flight_each=2)
    await clinic.start()
    await clinic.deploy()
    done: list[str] = []

    async def one(name: str) -> None:
        async with clinic.client(name) as client:
            client._places = trio.Semaphore(6)  # more than it was told
            clinic.check(await client.infer(samples(6)), samples(6))
            done.append(name)

    async with trio.open_nursery() as nursery:
        for number in range(1, 5):
            nursery.start_soon(one, f"HMS{number}")
    assert len(done) == 4


async def test_a_server_that_is_full_says_busy_and_takes_the_same_index_later(clinic: Clinic) -> None:
    clinic.service = dataclasses.replace(clinic.service, in_flight=1)
    await clinic.start()
    await clinic.deploy()
    async with clinic.client() as client:
        await client.infer(samples(1))
        flights = server(clinic, "E1").flights
        with flights.begin(10**6, "HMS2"):
            client._wanting, index = 4, await client._next_index(trio.current_time() + 5)
            with pytest.raises(Busy, match="E1 has 1 queries under way, and no more"):
                await _submit(client, index)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_infer_later, clinic, client)
                await trio.sleep(0.1)
                assert server(clinic, "E2").in_flight == 1, "E2 has taken it and waits"
                nursery.start_soon(_leave, flights)


async def _submit(client: Client, index: int) -> None:
    line = await client._lines.get("E1", 5.0)
    await client._submit_once(line, index, bytes(32), 5.0)


async def _infer_later(clinic: Clinic, client: Client) -> None:
    clinic.check(await client.infer(samples(1)), samples(1))


async def _leave(flights: object) -> None:
    flights._most = 2


@pytest.mark.parametrize("stopped", ["E1", "HC"])
async def test_a_party_that_stops_finishes_what_is_under_way_and_takes_nothing_new(
    clinic: Clinic, stopped: str
) -> None:
    clinic.service = ServiceSettings(low=8, high=24, query_seconds=3.0, drain_seconds=3.0)
    await clinic.start()
    await clinic.deploy()
    async with clinic.client(retries=0) as client:
        await client.infer(samples(1))
        first, then = await client.infer(samples(2)), clinic.parties[stopped]
        clinic.check(first, samples(2))
        await then.drain()
        with pytest.raises((Draining, PeerAborted), match=f"{stopped} takes no new queries: it is being stopped"):
            await client.infer(samples(1))
        await clinic.stop(stopped)
        await clinic.start(stopped)
        client._retries = 1  # a server that was away has burnt what it had reserved
        clinic.check(await client.infer(samples(1)), samples(1))


async def test_a_drain_waits_for_a_query_and_gives_up_one_that_hangs(clinic: Clinic) -> None:
    clinic.service = ServiceSettings(low=8, high=24, query_seconds=20.0, drain_seconds=0.2)
    await clinic.start()
    await clinic.deploy()
    async with clinic.client(retries=0) as client:
        await client.infer(samples(1))
        index = await client._next_index(trio.current_time() + 5)
        async with trio.open_nursery() as nursery:

            async def submit() -> None:  # to E1 alone: it waits for E2
                with pytest.raises(PeerAborted, match="E1 stopped: it is being stopped"):
                    await _submit(client, index)

            nursery.start_soon(submit)
            await until(lambda: server(clinic, "E1").in_flight)
            began = trio.current_time()
            await clinic.parties["E1"].drain()
            assert 0.2 <= trio.current_time() - began < 2


# ---- requests that are wrong


@pytest.mark.parametrize(
    ("peer", "op", "fields", "words"),
    [
        ("E1", "grant", {"client": "HMS1", "spans": [[1, 2]]}, "E1 does not 'grant' for HMS1, only give_up, submit"),
        ("E2", "meet", {"state": b""}, "E2 does not 'meet' for HMS1"),
        ("E1", "store", {"first": 1, "count": 1}, "E1 does not 'store' for HMS1"),
        ("HC", "stock", {}, "HC does not 'stock' for HMS1, only expect, give_up, lease"),
        ("HC", "lease", {"count": 0}, "count must be a number from 1 to 256"),
        ("HC", "lease", {"count": 10**9}, "count must be a number from 1 to 256"),
        ("HC", "lease", {"count": "many"}, "count must be a number"),
        ("HC", "expect", {"index": -1}, "index must be a number"),
        ("HC", "expect", {"index": 10**6}, "HMS1 names index 1000000, which is not leased to it"),
        ("HC", "give_up", {"index": 10**6}, "which is not leased to it"),
        ("HC", "expect", {"index": 1, "request": "x" * 65}, "request must be a text of at most 64"),
        ("E1", "submit", {"index": 0}, "index must be a number"),
    ],
)
async def test_a_request_that_is_wrong_is_refused_and_the_link_lives_on(
    clinic: Clinic, peer: str, op: str, fields: dict[str, object], words: str
) -> None:
    await clinic.start()
    await clinic.deploy()
    async with clinic.client() as client:
        with pytest.raises(PehealthError, match=words):
            await ask(client, peer, op, **fields)
        clinic.check(await client.infer(samples(1)), samples(1))


async def test_anothers_index_is_refused_and_its_owners_query_is_not_touched(clinic: Clinic) -> None:
    await clinic.start()
    await clinic.deploy()
    async with clinic.client("HMS1") as owner, clinic.client("HMS2") as thief:
        owner._wanting = 4
        index = await owner._next_index(trio.current_time() + 5)
        owner._indices.appendleft(index)
        with pytest.raises(MaterialError, match=f"E1: HMS2 names index {index}, which is leased to HMS1"):
            await _submit(thief, index)
        with pytest.raises(MaterialError, match=f"HC: HMS2 names index {index}"):
            await ask(thief, "HC", "expect", index=index)
        with pytest.raises(MaterialError, match=f"HC: HMS2 names index {index}"):
            await ask(thief, "HC", "give_up", index=index)
        (answer,) = await owner.infer(samples(1))
        assert (answer.query, answer.retries) == (index, 0)
        with pytest.raises(MaterialError, match=f"material of index {index} was used or burnt"):
            await _submit(owner, index)


async def test_an_upload_that_is_too_long_ends_that_clients_link_alone(clinic: Clinic) -> None:
    await clinic.start()
    await clinic.deploy()
    async with clinic.client("HMS1") as client, clinic.client("HMS2") as other:
        line = await client._lines.get("E1", 5.0)
        await line.channel.endpoint(7, Clock()).send(UPLOAD, bytes(200_000))
        await line.channel.wait_end()
        clinic.check(await other.infer(samples(2)), samples(2))
        clinic.check(await client.infer(samples(2)), samples(2))


async def test_the_others_lease_cannot_be_granted_away(clinic: Clinic) -> None:
    await clinic.start()
    await clinic.deploy()
    async with clinic.client() as client:
        await client.infer(samples(1))
    role = server(clinic, "E1").role
    with pytest.raises(MaterialError, match="are HMS1's"):
        await role.grant([Lease("HMS2", 1, 1)])


# ---- nothing grows


@pytest.mark.slow
async def test_a_thousand_queries_leave_nothing_behind(clinic: Clinic) -> None:
    clinic.service = dataclasses.replace(clinic.service, low=64, high=256)
    await clinic.start()
    room = await clinic.deploy(make_model(hidden=1))
    for _round in range(10):
        async with clinic.client() as client:
            await client.infer(samples(100))
    for name in ("E1", "E2"):
        at = server(clinic, name)
        assert at.actor._clocks.keys() <= {(phase, 0) for phase in (1, 2, 3)}
        assert not at.actor._answered
        assert not at.actor.seconds
        assert not at.actor.phase_seconds
        assert not at.role._ready
        assert not at.role._arrived
        assert not at.role._uploads
        assert len(at.role._kept_store.leases) < 70
        assert len(at.actor.places._layers) <= 1
        assert all(channel._mail.size == 0 for channel in at.room.links.values())
    assert not room.actor._clocks.keys() - {(phase, 0) for phase in (1, 2, 3)}
    assert len(room.stock._handed) == 0
