"""Mutual TLS: a party is who its certificate says, and failures say what is wrong with which end."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio
import trio.testing
import trustme

from transport.carrier import Carrier, prove
from transport.conformance import check_channel
from transport.credentials import TlsFiles, make_context
from transport.errors import TransportError
from transport.handshake import Hello
from transport.interfaces import Clock, Phase, Tag
from transport.memory import memory_pair
from transport.mesh import MeshOptions, open_mesh
from transport.meter import Meter, MeterReport
from transport.network import NETWORKS, Network
from transport.shaped import ShapedStream
from transport.tcp import Tcp
from transport.tls import Tls
from transport.tls_stream import TlsStream

TAG = Tag(Phase.ONLINE, 1, 1)
Issue = Callable[..., Tls]
Greet = Callable[[Carrier, Carrier], Awaitable[tuple[str, str]]]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def files_of(
    folder: Path, authority: trustme.CA, *names: str, trusted: trustme.CA | None = None, **kinds: object
) -> TlsFiles:
    issued = authority.issue_cert(*names, **kinds)  # type: ignore[arg-type]
    folder.mkdir(exist_ok=True)
    files = TlsFiles(folder / "own.pem", folder / "own.key", folder / "authority.pem")
    issued.cert_chain_pems[0].write_to_path(files.certificate)
    issued.private_key_pem.write_to_path(files.key)
    (trusted or authority).cert_pem.write_to_path(files.authority)
    return files


@pytest.fixture
def issue(tmp_path: Path, authority: trustme.CA) -> Issue:
    """Return a maker of carriers: name in the certificate -> carrier."""
    return lambda *names, **kinds: Tls(files_of(tmp_path / names[0], kinds.pop("by", authority), *names, **kinds))


async def tls_pair(issue: Issue) -> tuple[TlsStream, TlsStream]:
    carrier = issue("E1")
    listener = await carrier.listen("127.0.0.1:0")
    left = await carrier.connect(listener.address)
    right = await listener.accept()
    await listener.aclose()
    return left, right


async def test_tls_stream_keeps_trios_contract(issue: Issue) -> None:
    await trio.testing.check_two_way_stream(lambda: tls_pair(issue), None)


async def test_channel_conforms_over_tls(issue: Issue) -> None:
    await check_channel(lambda: tls_pair(issue))


@pytest.mark.slow
async def test_both_ends_may_send_64_mib_at_once_over_tls(issue: Issue) -> None:
    await check_channel(lambda: tls_pair(issue), large=64 * 2**20)


async def meet(first: Carrier, second: Carrier, network: Network = NETWORKS["none"]) -> MeterReport:
    """Let E1 and E2 gather and exchange a message; return what they counted."""
    bound: list[str] = []
    known = trio.Event()
    meters = {name: Meter(name) for name in ("E1", "E2")}

    def listening(address: str) -> None:
        bound.append(address)
        known.set()

    async def party(own: str, peer: str, carrier: Carrier, listen: str, calls: dict[str, str]) -> None:
        options = MeshOptions(bound=listening, meter=meters[own], network=network)
        inbound = [] if calls else [peer]
        async with open_mesh(
            Hello(own), carrier, listen=listen, inbound=inbound, outbound=calls, options=options
        ) as links:
            end = links[peer].endpoint(1, Clock())
            await end.send(TAG, own.encode())
            assert await end.receive(TAG, most=2) == peer.encode()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(party, "E1", "E2", first, "127.0.0.1:0", {})
        await known.wait()
        nursery.start_soon(party, "E2", "E1", second, "", {"E1": bound[0]})
    return MeterReport.merge(meter.report() for meter in meters.values())


async def test_parties_with_certificates_meet_and_count_what_tcp_counts(issue: Issue) -> None:
    assert await meet(issue("E1"), issue("E2")) == await meet(Tcp(), Tcp())


async def test_shaped_links_carry_tls(issue: Issue) -> None:
    await meet(issue("E1"), issue("E2"), Network(0.001))


async def test_names_are_proven_through_a_shaped_link(issue: Issue) -> None:
    async with trio.open_nursery() as nursery:
        left, right = await tls_pair(issue)
        shaped = ShapedStream(left, Network(0.001), nursery)
        nursery.start_soon(right.prove)
        proof = await prove(shaped)
        assert proof is not None
        assert (proof.names, proof.objection) == (("e1",), "")
        await shaped.aclose()
        await right.aclose()
    assert await prove(memory_pair()[0]) is None


async def test_party_under_anothers_name_is_refused(issue: Issue, greet: Greet) -> None:
    first, second = await greet(issue("E1"), issue("HC"))
    words = "TLS with E2: its certificate names hc: give each party its own, and check the addresses"
    assert first == words
    assert second == f"E1 stopped: {words}"
    first, second = await greet(issue("HC"), issue("E2"))
    words = "TLS with E1: its certificate names hc: give each party its own, and check the addresses"
    assert (first, second) == (f"E2 stopped: {words}", words)


async def test_certificate_of_another_authority_is_named_at_both_ends(
    issue: Issue, greet: Greet, authority: trustme.CA
) -> None:
    first, second = await greet(issue("E1"), issue("E2", by=trustme.CA(), trusted=authority))
    assert "its certificate was not issued by our authority" in first
    assert "was not issued by its authority" in second


async def test_expired_certificate_is_named_at_both_ends(issue: Issue, greet: Greet) -> None:
    past = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    first, second = await greet(issue("E1"), issue("E2", not_before=past, not_after=past + dt.timedelta(1)))
    assert "its certificate has expired: issue a new one" in first
    assert "our certificate" in second
    assert "has expired on 2020-01-02 00:00 UTC: issue a new one" in second


async def test_plain_caller_of_a_tls_party_is_told(issue: Issue, greet: Greet) -> None:
    first, second = await greet(issue("E1"), Tcp())
    assert first == "TLS with E2: it does not speak TLS: start all parties with TLS or all without"
    assert second == "TLS with E1: it speaks TLS and we do not: start all parties with TLS or all without"


async def test_tls_caller_of_a_plain_party_is_told(issue: Issue, greet: Greet) -> None:
    first, second = await greet(Tcp(), issue("E2"))
    assert "it speaks TLS, start all parties with TLS or all without" in first
    assert "it does not speak TLS: start all parties with TLS or all without" in second


@pytest.mark.parametrize("broken", ["certificate", "key", "authority"])
def test_bad_files_are_named(broken: str, tmp_path: Path, authority: trustme.CA) -> None:
    files = files_of(tmp_path / "E1", authority, "E1")
    path: Path = getattr(files, broken)
    path.write_text("nothing of the kind")
    with pytest.raises(TransportError, match=path.name):
        make_context(files, server=True)
    path.unlink()
    with pytest.raises(TransportError, match=f"there is no file .*{path.name}"):
        make_context(files, server=True)
