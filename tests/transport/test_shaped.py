"""Shaping: under a virtual clock a link takes exactly what the formula says, and holds nobody longer."""

from __future__ import annotations

import math

import pytest
import trio

from transport.conformance import check_channel
from transport.framing import HEADER_BYTES
from transport.handshake import Hello
from transport.interfaces import Clock, Phase, Tag
from transport.limits import Limits
from transport.memory import MemoryHub, memory_pair
from transport.mesh import MeshOptions, open_mesh
from transport.network import Network, parse_network, seeded_jitter
from transport.shaped import ShapedStream, sleep_until
from transport.testing import Pair, open_local

TAG = Tag(Phase.ONLINE, 1, 1)
NET = Network(latency=0.040, bandwidth=1000.0)


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("none", Network()),
        ("lan", Network(0.00025, 125e6)),
        ("WAN", Network(0.020, 12.5e6)),
        ("4g", Network(0.025, 2.5e6)),
        ("20ms,100mbit", Network(0.020, 12.5e6)),
        (" 250us , 1gbit , 1ms ", Network(0.00025, 125e6, 0.001)),
        ("1.5s", Network(1.5)),
        ("0ms,64kbit", Network(0, 8000)),
    ],
)
def test_network_is_parsed(text: str, network: Network) -> None:
    parsed = parse_network(text)
    assert (parsed.latency, parsed.bandwidth, parsed.jitter) == pytest.approx(
        (network.latency, network.bandwidth, network.jitter), rel=1e-12
    )


@pytest.mark.parametrize(
    "text", ["", "fast", "20", "100mbit", "20ms,5ms", "20ms,1mbit,3", "-1ms", "1ms,1mbit,1ms,1ms", "1e3ms", "٣ms"]
)
def test_what_is_no_network_says_what_would_be(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected none, lan, wan, 4g or LATENCY"):
        parse_network(text)


@pytest.mark.parametrize("values", [(-1, 1, 0), (0, 0, 0), (0, -1, 0), (math.inf, 1, 0), (math.nan, 1, 0), (0, 1, -1)])
def test_impossible_networks_are_refused(values: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="a network needs"):
        Network(*values)


async def receive_times(stream: trio.abc.Stream, size: int) -> dict[int, float]:
    """Return when each number of bytes had arrived."""
    times, began, got = {}, trio.current_time(), 0
    while got < size:
        got += len(await stream.receive_some())
        times[got] = trio.current_time() - began
    return times


async def test_pieces_are_sent_one_after_the_other_and_travel_together(autojump_clock: trio.abc.Clock) -> None:
    async with trio.open_nursery() as nursery:
        left, right = memory_pair()
        shaped = ShapedStream(left, NET, nursery)
        times: dict[int, float] = {}

        async def receive() -> None:
            times.update(await receive_times(right, 600))

        nursery.start_soon(receive)
        began = trio.current_time()
        sent = []
        for size in (100, 200, 300):
            await shaped.send_all(bytes(size))
            sent.append(trio.current_time() - began)
        await trio.sleep(1)
        await shaped.aclose()
    assert sent == pytest.approx([0.1, 0.3, 0.6], abs=1e-12)
    assert times == pytest.approx({100: 0.14, 300: 0.34, 600: 0.64}, abs=1e-12)


async def test_idle_link_is_free_again(autojump_clock: trio.abc.Clock) -> None:
    async with trio.open_nursery() as nursery:
        left, right = memory_pair()
        shaped = ShapedStream(left, NET, nursery)
        for _ in range(2):
            began = trio.current_time()
            await shaped.send_all(bytes(10))
            assert len(await right.receive_some()) == 10
            assert trio.current_time() - began == pytest.approx(NET.seconds(10), abs=1e-12)
            await trio.sleep(5)
        await shaped.aclose()


def shaped_pair(nursery: trio.Nursery, network: Network) -> Pair:
    left, right = memory_pair()
    return ShapedStream(left, network, nursery), ShapedStream(right, network, nursery)


async def test_exchange_takes_the_formula_exactly(autojump_clock: trio.abc.Clock) -> None:
    """Three exchanges of 125,000 bytes at 40 ms and 100 Mbit/s."""
    network = parse_network("40ms,100mbit")
    async with trio.open_nursery() as nursery:

        async def party(ends: dict[str, object], own: str, peer: str) -> None:
            end = links[own][peer].endpoint(1, Clock())
            for _ in range(3):
                await end.send(TAG, bytes(125_000))
                await end.receive(TAG, most=125_000)

        async with open_local(("E1", "E2"), make_pair=lambda: shaped_pair(nursery, network)) as links:
            began = trio.current_time()
            async with trio.open_nursery() as parties:
                parties.start_soon(party, links, "E1", "E2")
                parties.start_soon(party, links, "E2", "E1")
            took = trio.current_time() - began
    assert took == pytest.approx(3 * network.seconds(125_000 + HEADER_BYTES), abs=1e-9)


async def test_whole_mesh_is_shaped_and_parts_in_time(autojump_clock: trio.abc.Clock) -> None:
    hub = MemoryHub()
    took: list[float] = []

    async def party(own: str, peer: str) -> None:
        options = MeshOptions(network=Network(latency=3.0))
        calls = {peer: peer} if own == "E2" else {}
        async with open_mesh(
            Hello(own), hub, listen=own, inbound=[peer] if own == "E1" else [], outbound=calls, options=options
        ) as links:
            end = links[peer].endpoint(1, Clock())
            await end.send(TAG, own.encode())
            assert await end.receive(TAG, most=2) == peer.encode()
            took.append(trio.current_time())

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(party, "E1", "E2")
        nursery.start_soon(party, "E2", "E1")
    # A greeting there, one back; E1 has sent by then, E2 sends after it.
    assert [time - began for time in sorted(took)] == pytest.approx([6.0, 9.0])


async def test_channel_conforms_on_a_shaped_link(autojump_clock: trio.abc.Clock) -> None:
    async with trio.open_nursery() as nursery:
        await check_channel(lambda: shaped_pair(nursery, Network(0.01, 1e6, 0)), large=10**5)


async def test_a_message_that_takes_longer_than_the_silence_allowed_is_no_silence(
    autojump_clock: trio.abc.Clock,
) -> None:
    """While it comes in, its sender can say nothing else; what has come of it shows that the sender is alive."""
    size, network = 2_000_000, Network(latency=0.05, bandwidth=20_000)
    limits = Limits(silence_seconds=60, keepalive_seconds=10)
    async with (
        trio.open_nursery() as nursery,
        open_local(("E1", "E2"), make_pair=lambda: shaped_pair(nursery, network), limits=limits) as links,
    ):
        began = trio.current_time()
        nursery.start_soon(links["E1"]["E2"].endpoint(1, Clock()).send, TAG, bytes(size))
        assert len(await links["E2"]["E1"].endpoint(1, Clock()).receive(TAG, most=size)) == size
        assert trio.current_time() - began == pytest.approx(network.seconds(size + HEADER_BYTES))


async def test_jitter_is_repeatable_and_keeps_the_order(autojump_clock: trio.abc.Clock) -> None:
    network = Network(latency=1.0, jitter=0.5)
    runs = []
    for seed in (b"a", b"a", b"b"):
        async with trio.open_nursery() as nursery:
            left, right = memory_pair()
            shaped = ShapedStream(left, network, nursery, seeded_jitter(seed))
            for number in range(50):
                await shaped.send_all(bytes([number]))
            got, times = b"", []
            began = trio.current_time()
            while len(got) < 50:
                got += await right.receive_some()
                times.append(round(trio.current_time() - began, 9))
            await shaped.aclose()
        assert got == bytes(range(50))
        assert 1.0 <= times[0] <= times[-1] <= 1.5
        runs.append(times)
    assert runs[0] == runs[1] != runs[2]


async def test_jitter_needs_a_source() -> None:
    async with trio.open_nursery() as nursery:
        with pytest.raises(ValueError, match="source of jitter"):
            ShapedStream(memory_pair()[0], Network(jitter=1.0), nursery)


def test_seeded_jitter_is_spread_over_the_unit_interval() -> None:
    numbers = [number() for number in [seeded_jitter(b"seed")] * 4000]
    assert all(0 <= number < 1 for number in numbers)
    assert abs(sum(numbers) / len(numbers) - 0.5) < 0.02


async def test_broken_link_is_broken_for_the_sender(autojump_clock: trio.abc.Clock) -> None:
    async with trio.open_nursery() as nursery:
        left, right = memory_pair()
        shaped = ShapedStream(left, NET, nursery)
        await right.aclose()
        await shaped.send_all(b"into the void")
        await trio.sleep(1)
        with pytest.raises(trio.BrokenResourceError):
            await shaped.send_all(b"more")
        await shaped.aclose()


async def test_closing_delivers_what_travels(autojump_clock: trio.abc.Clock) -> None:
    async with trio.open_nursery() as nursery:
        left, right = memory_pair()
        shaped = ShapedStream(left, Network(latency=9.0), nursery)
        await shaped.send_all(b"last words")
        await shaped.aclose()
        assert await right.receive_some() == b"last words"
        assert await right.receive_some() == b""


async def test_real_waits_do_not_end_early() -> None:
    for seconds in (0.0, 0.0003, 0.002):
        deadline = trio.current_time() + seconds
        await sleep_until(deadline)
        assert trio.current_time() >= deadline
