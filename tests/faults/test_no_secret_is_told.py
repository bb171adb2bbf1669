"""What a failing run says, prints or shows of its objects holds no reading, weight, key, mask or share.

Everything that the run's generators gave out, all that crossed a link and all that HC and the sensors own is collected
(tests/helpers/secret_search.py, whose own test shows that it finds what is told); then every text that the failure left
is searched: messages, notes and causes of every exception, tracebacks, and the repr of every object of ours that a
traceback's frames can reach.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from types import TracebackType

import pytest
from secret_search import Secrets, collect

from pehealth.config import Engine
from pehealth.errors import MaterialError
from pehealth.protocols import literal, masked
from transport.framing import Frame, Kind, pack_header
from transport.interfaces import Phase, Tag
from transport.meddling import Cut, Piece

ENGINES = (Engine.PAPER, Engine.DEALT, Engine.RLWE)
LEAST_SECRETS = 300
LEAST_NUMBER = 10**6
"""Smaller numbers are also sizes, places and primes; runs of them are searched for instead."""
OURS = ("pehealth.", "parties.", "transport.")


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Secrets:
    return collect(monkeypatch, LEAST_NUMBER)


def everything_raised(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, those of a group, and all causes and contexts."""
    seen, waiting = set(), [error]
    while waiting:
        current = waiting.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        if isinstance(current, BaseExceptionGroup):
            waiting += current.exceptions
        waiting += [e for e in (current.__cause__, current.__context__) if e is not None]


def parts_of(value: object) -> list[object]:
    """Return what a container or an object of ours holds."""
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, list | tuple | set):
        return list(value)
    if not f"{type(value).__module__}.".startswith(OURS):
        return []
    slots = [getattr(value, name, None) for name in getattr(type(value), "__slots__", ())]
    return [*getattr(value, "__dict__", {}).values(), *slots]


def objects_of(trace: TracebackType | None) -> Iterator[object]:
    """Yield the objects of ours that the frames of a traceback hold, and what those hold, three steps deep."""
    seen: set[int] = set()
    while trace is not None:
        waiting = [(value, 0) for value in trace.tb_frame.f_locals.values()]
        while waiting:
            value, depth = waiting.pop()
            if id(value) in seen:
                continue
            seen.add(id(value))
            if f"{type(value).__module__}.".startswith(OURS):
                yield value
            waiting += [(part, depth + 1) for part in parts_of(value)] if depth < 3 else []
        trace = trace.tb_next


def told(error: BaseException) -> Iterator[tuple[str, str]]:
    """Yield (where, text) for all that a failure says."""
    yield "traceback", "".join(traceback.format_exception(error))
    for raised in everything_raised(error):
        yield f"{type(raised).__name__}", f"{raised} {raised!r} {raised.args} {getattr(raised, '__notes__', '')}"
        for value in objects_of(raised.__traceback__):
            yield f"repr of {type(value).__name__}", repr(value)


def relu_only(make: Callable[[Frame], list[Piece]]) -> Callable[[str, Frame], list[Piece]]:
    def meddle(peer: str, frame: Frame) -> list[Piece]:
        in_relu = frame.kind is Kind.DATA and Tag.unpack(frame.tag) == Tag(Phase.ONLINE, 2)
        return make(frame) if in_relu and peer == "E1" else [frame]

    return meddle


FAULTS = {
    "garbage": relu_only(lambda f: [b"garbage " * 9]),
    "oversized": relu_only(lambda f: [pack_header(Kind.DATA, 1, 1, 0, f.query, f.tag, 2**31)]),
    "short": relu_only(lambda f: [f._replace(payload=f.payload[:-1])]),
    "long": relu_only(lambda f: [f._replace(payload=f.payload + b"x")]),
    "padding": relu_only(lambda f: [f._replace(payload=f.payload[:-1] + b"\xff")]),
    "twice": relu_only(lambda f: [f, f]),
    "cut": relu_only(lambda f: [Cut(f, 25)]),
    "late": relu_only(lambda f: []),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("fault", [*FAULTS, "bug", "material"])
def test_nothing_secret_is_told(fault, engine, job_of, ends, secrets, monkeypatch, capfd):
    job = job_of(engine, ring=None if engine is Engine.PAPER else 37)
    for array in (job.inputs, *job.quantised.weights, *job.quantised.biases):
        secrets.add_numbers(array)
    if fault in ("bug", "material"):
        error = ZeroDivisionError("a bug") if fault == "bug" else MaterialError("nothing is left")

        async def fail(ctx, share, *args, **kwargs):
            raise error

        monkeypatch.setattr(literal, "open_sign", fail)
        monkeypatch.setattr(masked, "open_masked", fail)
    ended = ends(job, meddle={"E2": FAULTS[fault]} if fault in FAULTS else {})
    shown = "".join(capfd.readouterr())
    texts = [("output", shown), ("sentence", ended.text), *told(ended.raised)]
    assert len({where for where, _ in texts}) > 12, "the objects of the parties are among what is searched"
    leaks = {(where, piece) for where, text in texts for piece in secrets.found_in(text)}
    assert not leaks
    assert secrets.size > LEAST_SECRETS
