"""Whatever a peer sends, the others say who, at which layer and what to do, with the right exit code, and end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pehealth.config import Engine
from pehealth.engines import paper_codec
from pehealth.engines.catalog import masked_engine
from pehealth.nets.plan_literal import plan_group
from pehealth.nets.plan_masked import material_plan
from transport.framing import Frame, Kind, pack_header
from transport.interfaces import Phase, Tag
from transport.meddling import Cut, Meddle, Piece

ENGINES = (Engine.PAPER, Engine.DEALT)
CARRIERS = ("memory", "tcp")
GARBAGE = b"HTTP/1.1 200 OK\r\nServer: not us\r\n\r\n"
KEY = Tag(Phase.SETUP, 0, 1)
MODEL = Tag(Phase.SETUP, 1)
MATERIAL = Tag(Phase.OFFLINE, 0)
INPUT = Tag(Phase.ONLINE, 0)
RELU = Tag(Phase.ONLINE, 2)
OUTPUT = Tag(Phase.ONLINE, 4)


def at(tag: Tag, make: Callable[[Frame], list[Piece]], to: str = "E1", query: int = 1) -> Meddle:
    """Meddle with the messages of one tag of one query to one peer."""

    def meddle(peer: str, frame: Frame) -> list[Piece]:
        hit = peer == to and frame.kind is Kind.DATA and Tag.unpack(frame.tag) == tag and frame.query in (0, query)
        return make(frame) if hit else [frame]

    return meddle


def put(place: int, content: bytes) -> Callable[[Frame], list[Piece]]:
    """Put other bytes into a payload; a negative place counts from its end."""

    def make(frame: Frame) -> list[Piece]:
        start = place % len(frame.payload)
        changed = frame.payload[:start] + content + frame.payload[start + len(content) :]
        return [frame._replace(payload=changed)]

    return make


FRAMES = {
    "garbage": (
        lambda f: [GARBAGE],
        4,
        ("E1: frame from E2: expected frame version 1, came 47; we were * online 2.relu of query 1: "
        "what sent this is not pehealth, or something on the way changes bytes"),
    ),
    "oversized": (
        lambda f: [pack_header(Kind.DATA, 1, 1, 0, f.query, f.tag, 2**31)],
        4,
        ("E1: frame from E2: expected at most 268435456 bytes of payload, came a frame of 2147483648; "
        "we were * online 2.relu of query 1: what sent this is not pehealth, or something on the way changes bytes"),
    ),
    "shorter": (
        lambda f: [f._replace(payload=f.payload[:-1])],
        4,
        ("E1: E2 sent {less} bytes as online 2.relu of query 1, {size} were expected: "
        "do both run the same network with the same settings?"),
    ),
    "longer": (
        lambda f: [f._replace(payload=f.payload + b"x")],
        4,
        ("E1: expected from E2 at most {size} bytes as online 2.relu of query 1, came {more}: "
        "the two run different protocols or networks"),
    ),
    "another tag": (
        lambda f: [f._replace(tag=Tag(Phase.ONLINE, 3, 9).pack())],
        4,
        ("E1: expected from E2 online 2.relu of query 1, came online 3.dense step 9 of query 1: "
        "the two run different protocols or networks"),
    ),
    "twice": (
        lambda f: [f, f],
        4,
        ("E1: expected from E2 online {next} of query 1, came online 2.relu of query 1: "
        "the two run different protocols or networks"),
    ),
    "cut": (
        lambda f: [Cut(f, 24)],
        3,
        "E1: E2 was cut off in the middle of a message; we were * online 2.relu of query 1: see what it says itself",
    ),
}  # fmt: skip


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("fault", FRAMES)
def test_bad_frame_in_the_middle_of_a_layer(fault, engine, carrier, job_of, ends):
    make, code, words = FRAMES[fault]
    size, after = (1 if engine is Engine.PAPER else 12), "2.relu step 1"
    ended = ends(job_of(engine), carrier=carrier, meddle={"E2": at(RELU, make)})
    assert ended.says(words.format(size=size, less=size - 1, more=size + 1, next=after))
    assert ended.code == code


CONTENTS = {
    "a key of no use": (
        Engine.PAPER, "HC", at(KEY, lambda f: [f._replace(payload=bytes(4))], to="HMS1"),
        "HMS1: HC sent setup keys step 1 with wrong content: a key of toy32 must lie between 1 and q - 1",
    ),
    "a ciphertext that is no element": (
        Engine.PAPER, "HC", at(MODEL, put(8, bytes(4))),
        "E1: HC sent setup 1.dense with wrong content: an element of toy32 must lie between 1 and p - 1",
    ),
    "a share beyond the group": (
        Engine.PAPER, "HMS1", at(INPUT, put(0, b"\xff\xff\xff\x7f"), to="E2"),
        "E2: HMS1 sent online 0.input of query 1 with wrong content: a share mod q must lie between 0 and q - 1",
    ),
    "padding in an opening of bits": (
        Engine.PAPER, "E2", at(RELU, lambda f: [f._replace(payload=bytes([f.payload[0] | 0x80]))]),
        "E1: E2 sent online 2.relu of query 1 with wrong content: padding bits",
    ),
    "padding in an opening of words": (
        Engine.DEALT, "E2", at(RELU, put(-1, b"\xff")),
        "E1: E2 sent online 2.relu of query 1 with wrong content: padding bits",
    ),
    "padding in a model": (
        Engine.DEALT, "HC", at(MODEL, put(-1, b"\xff"), to="E2"),
        "E2: HC sent setup 1.dense with wrong content: padding bits",
    ),
    "padding in readings": (
        Engine.DEALT, "HMS1", at(INPUT, put(-1, b"\xff"), to="E2"),
        "E2: HMS1 sent online 0.input of query 1 with wrong content: padding bits",
    ),
    "padding in a result": (
        Engine.DEALT, "E1", at(OUTPUT, put(-1, b"\xff"), to="HC"),
        "HC: E1 sent online 4.output of query 1 with wrong content: padding bits",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", CONTENTS)
def test_right_size_and_wrong_content(fault, job_of, ends):
    engine, who, meddle, words = CONTENTS[fault]
    # 37 bits an element, so that the last byte of every message has bits to spare.
    job = job_of(engine, ring=None if engine is Engine.PAPER else 37)
    ended = ends(job, meddle={who: meddle})
    assert words in ended.text
    assert ended.text.endswith(f"If both run the same release of pehealth, {who} does not follow the protocol")
    assert ended.code == 4


def test_padding_in_material(job_of, ends):
    """E2's share of the first mask, 5 elements of 37 bits, follows what both servers get."""
    job = job_of(Engine.DEALT, ring=37)
    plan = material_plan(job.model.network, job.plan.parameters, masked_engine(job.plan.parameters))
    ended = ends(job, meddle={"HC": at(MATERIAL, put(plan.common_bytes + 23, b"\xff"), to="E2")})
    assert ended.text.startswith("E2: HC sent offline material of query 1 with wrong content: padding bits")
    assert ended.code == 4


def test_a_toy_share_is_checked_against_the_order_of_the_group(job_of):
    """The number that the test above sends would be a share in a larger group."""
    grp = plan_group(job_of(Engine.PAPER).plan.parameters)
    assert grp.q < int.from_bytes(b"\xff\xff\xff\x7f", "little")
    assert paper_codec.x_bytes(grp) == 4


def from_relu_on(dropped: Callable[[str, Frame], bool]) -> Meddle:
    """Drop some frames, once the ReLU has been reached."""
    reached = []

    def meddle(peer: str, frame: Frame) -> list[Piece]:
        if Tag.unpack(frame.tag) == RELU:
            reached.append(peer)
        return [] if reached and dropped(peer, frame) else [frame]

    return meddle


@pytest.mark.parametrize("engine", ENGINES)
def test_a_peer_that_is_alive_and_sends_no_more_ends_the_wait_at_the_deadline(engine, job_of, ends):
    meddle = from_relu_on(lambda peer, frame: peer == "E1" and frame.kind is Kind.DATA)
    ended = ends(job_of(engine), meddle={"E2": meddle})
    assert ended.says("E1: no online 2.relu of query 1 from E2, waited 600.0 s; last heard * s ago: it is alive, *")
    assert ended.code == 3
    assert ended.seconds == pytest.approx(600, abs=5)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_peer_that_falls_silent_is_lost_within_a_minute(engine, job_of, ends):
    """E2's machine is unplugged in the middle of the layer: not even keepalives come, to anyone."""
    ended = ends(job_of(engine), meddle={"E2": from_relu_on(lambda peer, frame: True)})
    assert ended.says(
        "*: nothing at all was heard from E2 for 60.0 s, we were waiting for online * of query 1: "
        "its machine, its process or the network is down"
    )
    assert ended.code == 3
    assert ended.seconds < 75


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("engine", ENGINES)
def test_an_upload_that_comes_twice_is_used_once(engine, carrier, job_of, runs):
    """The second copy is never taken; the query's answer is what it was, and the next query's too."""
    job = job_of(engine)
    doubled = runs(job, carrier=carrier, meddle={"HMS1": at(INPUT, lambda f: [f, f])})
    assert doubled.logits == runs(job, carrier=carrier).logits
