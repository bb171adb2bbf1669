"""A certified client that asks for what it may not, wrongly or too often; and stores that were damaged meanwhile.

Each is refused in words; whoever else asks is answered as ever.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from fuzzing.tamper import PAGE
from service_clinic import Clinic, make_model, samples

from parties.service.client import UPLOAD, Client
from parties.service.requests import Line
from parties.service.stock import MOST_LEASED
from pehealth.errors import Busy, MaterialError, PeerAborted, PeerProtocolError, PehealthError
from transport.errors import FrameError, PeerAbort, PeerLost, TransportError
from transport.framing import Kind, pack_header
from transport.interfaces import Clock

MOST = 2**62 - 1
OPS = (
    "grant", "stock", "store", "cease", "meet", "admitted", "give_up", "submit", "lease", "expect", "models", "deploy",
    "install", "commit", "retire", "deployments", "deal", "", "x" * 1000, "__class__",
)  # fmt: skip
ODD: tuple[dict[str, Any], ...] = (
    {}, {"index": -1}, {"index": 2**63}, {"index": 1.5}, {"index": None}, {"index": True}, {"index": [1]},
    {"index": MOST}, {"index": MOST, "request": "x" * 65}, {"count": 0}, {"count": 2**40}, {"count": "1"},
    {"count": 1, "id": 7}, {"id": "../../etc"}, {"id": "x" * 65}, {"spans": [[0, 2**62]], "client": "HMS1"},
    {"spans": [[3, 1]], "client": "E2"}, {"spec": {"network": {"layers": [[]]}}}, {"state": b"{}"}, {"extra": 1},
    {"first": 1, "count": 256}, {"origin": "HC", "reason": "x" * 3000, "index": 1},
)  # fmt: skip
UPLOADS = {"E1": 32, "E2": 20}
"""Bytes of an upload: a seed; five readings of 32 bits."""
REFUSED = (PehealthError, TransportError)


async def answered(clinic: Clinic, **wanted: Any) -> None:
    """Somebody else connects and is answered."""
    readings = samples(3)
    async with clinic.client("HMS3", **wanted) as client:
        clinic.check(await client.infer(readings), readings)


def lines_of(client: Client) -> dict[str, Line]:
    return dict(client._lines._lines)


async def test_no_request_of_a_client_brings_a_party_down(clinic: Clinic) -> None:
    await clinic.start()
    await clinic.deploy()
    async with clinic.client("HMS2") as hostile:
        for line in lines_of(hostile).values():
            for op in OPS:
                for fields in ODD:
                    if (op == "lease" and fields.get("count") == 1) or (op == "submit" and fields.get("index") == MOST):
                        continue  # the one is no offence, and the other waits for an upload
                    with pytest.raises(REFUSED) as refused:
                        await line.ask(op, within=20, **fields)
                    assert line.peer in str(refused.value)
                    assert "internal error" not in str(refused.value), (op, fields)
            assert not line.channel.ended
        await answered(clinic)
    assert not [line for line in clinic.said if "bug of ours" in line]


async def test_a_greedy_client_holds_no_more_than_it_may(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it leases and does not use is not dealt anew without an end; what it has used it may have again."""
    most = 20
    monkeypatch.setattr("parties.service.stock.MOST_HELD", most)
    await clinic.start()
    room = await clinic.deploy()
    async with clinic.client("HMS2") as greedy:
        line = lines_of(greedy)["HC"]
        held: set[int] = set()
        with pytest.raises(Busy, match=f"HC: HMS2 holds {most} indices that it has not used, and no more at a time"):
            while True:
                told = (await line.ask("lease", within=20, count=MOST_LEASED))["spans"]
                fresh = {index for first, until in told for index in range(first, until)}
                assert not fresh & held
                held |= fresh
        assert len(held) == most
        await answered(clinic)
        greedy._indices.extend(sorted(held)[:5])
        clinic.check(await greedy.infer(samples(5)), samples(5))
        assert len((await line.ask("lease", within=20, count=MOST_LEASED))["spans"]) >= 1
    assert room.stock.left <= 24 + MOST_LEASED


@pytest.mark.parametrize("size", [0, 1, 31, 33, 10_000])
async def test_an_upload_of_another_size_fails_its_query_alone(clinic: Clinic, size: int) -> None:
    await clinic.start()
    await clinic.deploy()
    async with clinic.client("HMS2") as hostile:
        lines = lines_of(hostile)
        told = (await lines["HC"].ask("lease", within=20, count=1))["spans"]
        index = told[0][0]
        failures: dict[str, Exception] = {}

        async def submit(server: str) -> None:
            try:
                await lines[server].ask("submit", within=20, index=index)
            except REFUSED as error:
                failures[server] = error

        async with trio.open_nursery() as nursery:
            for server in ("E1", "E2"):
                nursery.start_soon(submit, server)
                await lines[server].channel.endpoint(index, Clock()).send(UPLOAD, bytes(size))
        assert failures.keys() == {"E1", "E2"}
        kinds = (PeerProtocolError, FrameError, PeerAborted, MaterialError)
        assert all(isinstance(error, kinds) for error in failures.values()), failures
        assert all(not line.channel.ended for line in lines.values())
        await answered(clinic)
    assert not [line for line in clinic.said if "bug of ours" in line]


async def refused_again(line: Line, index: int) -> None:
    # The second server may hear of it from the first.
    with pytest.raises((MaterialError, PeerAborted), match="was used or burnt before"):
        await line.ask("submit", within=20, index=index)


async def test_an_index_is_admitted_once_however_often_it_is_named(clinic: Clinic) -> None:
    await clinic.start()
    await clinic.deploy()
    readings = samples(2)
    async with clinic.client("HMS2") as client:
        clinic.check(await client.infer(readings), readings)
        lines = lines_of(client)
        for server in ("E1", "E2"):
            for index in (1, 2):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(refused_again, lines[server], index)
                    await trio.testing.wait_all_tasks_blocked()
                    await lines[server].channel.endpoint(index, Clock()).send(UPLOAD, bytes(UPLOADS[server]))
        await answered(clinic)


FRAMES = {
    "a second greeting": pack_header(Kind.HELLO, 0, 0, 0, 0, Kind.HELLO, 0),
    "a giant": pack_header(Kind.DATA, 0, 0, 0, 7, UPLOAD.pack(), 2**32 - 1),
    "noise": b"\xff" * 200,
}


@pytest.mark.parametrize("data", FRAMES.values(), ids=FRAMES)
async def test_what_is_no_frame_ends_the_link_and_nothing_else(clinic: Clinic, data: bytes) -> None:
    await clinic.start()
    await clinic.deploy()
    async with clinic.client("HMS1") as honest:
        async with clinic.client("HMS2") as hostile:
            for line in lines_of(hostile).values():
                await line.channel._wire._stream.send_all(data)
                error = await line.channel.wait_end()
                assert isinstance(error, PeerAbort | PeerLost), error
        clinic.check(await honest.infer(samples(3)), samples(3))
        await answered(clinic)


@pytest.fixture
async def damaged(folder: Path) -> AsyncIterator[Clinic]:
    """A clinic whose stores may be damaged, so that nothing is proven from them."""
    made = Clinic(folder)
    async with trio.open_nursery() as made.nursery:
        yield made
        made.nursery.cancel_scope.cancel()


def damages(path: Path) -> Iterator[bytes]:
    data = path.read_bytes()
    at = data.index(b"pehealth-")
    yield data[:at] + b"P" + data[at + 1 :]
    yield data[:PAGE] + bytes(PAGE) + data[2 * PAGE :]
    yield data[: len(data) // 2]


@pytest.mark.slow
@pytest.mark.parametrize("file", ["deployment.db", "material.db"])
async def test_a_damaged_store_stops_its_own_model_and_no_other(damaged: Clinic, file: str) -> None:
    await damaged.start()
    one = await damaged.deploy(make_model("one"))
    await damaged.deploy(make_model("two", seed=3))
    await damaged.stop("E1")
    path = damaged.folder / "E1" / one.spec.id / file
    whole = path.read_bytes()
    for content in damages(path):
        path.write_bytes(content)
        damaged.said.clear()
        await damaged.start("E1")
        await answered(damaged, model="two")
        told = [line for line in damaged.said if str(path) in line]
        assert told, damaged.said
        assert not [line for line in damaged.said if "bug of ours" in line or "Traceback" in line]
        await damaged.stop("E1")
        path.write_bytes(whole)
    await damaged.start("E1")
    await answered(damaged, model="one")
