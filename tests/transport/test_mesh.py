"""Links are gathered in any start order, over memory and TCP alike."""

from __future__ import annotations

import pytest
import trio

from transport.handshake import Hello
from transport.interfaces import Clock, Phase, Tag
from transport.memory import MemoryHub
from transport.mesh import Carrier, Links, MeshOptions, open_mesh, plan_links
from transport.meter import Meter, MeterReport
from transport.tcp import Tcp

TAG = Tag(Phase.ONLINE, 1, 1)
PARTIES = ("E1", "E2", "HC")


async def exchange(own: str, links: Links) -> None:
    """Every party sends to every other, then receives from every other."""
    clock = Clock()
    ends = [links[peer].endpoint(7, clock) for peer in sorted(links)]
    for end in ends:
        await end.send(TAG, own.encode() * 1000)
    for end in ends:
        assert await end.receive(TAG, most=10**6) == end.peer.encode() * 1000
    assert clock.depth == 1


async def run_three(carrier: Carrier, addresses: dict[str, str], order: tuple[str, ...]) -> MeterReport:
    meters = {name: Meter(name) for name in PARTIES}

    async def party(name: str) -> None:
        inbound, outbound = plan_links(name, [p for p in PARTIES if p != name], addresses)
        options = MeshOptions(meter=meters[name])
        listen = addresses.get(name, "") if inbound else ""
        async with open_mesh(
            Hello(name, run="r"), carrier, listen=listen, inbound=inbound, outbound=outbound, options=options
        ) as links:
            assert sorted(links) == sorted(p for p in PARTIES if p != name)
            await exchange(name, links)

    async with trio.open_nursery() as nursery:
        for name in order:
            nursery.start_soon(party, name)
            await trio.sleep(0.2)
    report = MeterReport.merge(meter.report() for meter in meters.values())
    report.check_conserved()
    return report


@pytest.mark.parametrize("order", [("E1", "E2", "HC"), ("HC", "E2", "E1"), ("E2", "HC", "E1")])
async def test_memory_links_stand_in_any_start_order(order: tuple[str, ...], autojump_clock: trio.abc.Clock) -> None:
    report = await run_three(MemoryHub(), {name: name for name in PARTIES}, order)
    assert report.links(Phase.ONLINE)["E1", "E2"].payload == 2000
    assert report.links(Phase.ONLINE)["HC", "E2"].total == 2024


async def test_tcp_counts_the_same_bytes_as_memory() -> None:
    ports = [7341, 7342, 7343]
    addresses = {name: f"127.0.0.1:{port}" for name, port in zip(PARTIES, ports, strict=True)}
    over_tcp = await run_three(Tcp(), addresses, PARTIES)
    over_memory = await run_three(MemoryHub(), {name: name for name in PARTIES}, PARTIES)
    assert over_tcp == over_memory
