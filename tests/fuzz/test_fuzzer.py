"""The fuzzer itself: what it takes for a finding, what it keeps, how it goes on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import fuzz
import pytest
from fuzzing.chunks import Fuzzing
from fuzzing.frames import TARGET as FRAME
from fuzzing.guard import try_input
from fuzzing.minimise import minimise
from fuzzing.target import MIB, Source, Target, cut, demand


def target(run: Callable[[bytes], None], memory: int = 64 * MIB) -> Target:
    return Target("t", run, (KeyError,), lambda: [b"seed"], memory=memory)


def refuse(_: bytes) -> None:
    raise KeyError("as documented")


def stumble(data: bytes) -> None:
    if b"!" in data:
        raise ZeroDivisionError


def demanding(data: bytes) -> None:
    demand(not data, "nothing at all")


def test_a_documented_error_is_no_finding() -> None:
    assert try_input(target(refuse), b"x") is None


def test_another_error_is_a_finding_named_by_its_place() -> None:
    finding = try_input(target(stumble), b"a!")
    assert finding is not None
    assert finding.what.startswith("ZeroDivisionError at guard.py:try_input")
    assert "ZeroDivisionError" in finding.told


def test_what_is_demanded_and_does_not_hold_is_a_finding() -> None:
    finding = try_input(target(demanding), b"a")
    assert finding is not None
    assert finding.what.startswith("nothing at all at guard.py")


def test_memory_is_a_finding_even_if_it_is_given_back() -> None:
    def waste(_: bytes) -> None:
        _ = bytes(2 * MIB)

    finding = try_input(target(waste, memory=MIB), b"", traced=True)
    assert finding is not None
    assert finding.what == "memory"
    assert try_input(target(waste, memory=3 * MIB), b"", traced=True) is None


def test_time_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuzzing.guard.MOST_SECONDS", 0.0)
    finding = try_input(target(lambda _: sum(range(10**5)) and None), b"")
    assert finding is not None
    assert finding.what == "slow"


def test_a_finding_is_kept_in_its_shortest_form(tmp_path: Path) -> None:
    faulty = target(stumble)
    finding = try_input(faulty, b"a long input with ! in it")
    assert finding is not None
    path = finding.save(tmp_path)
    short = try_input(faulty, minimise(faulty, finding))
    assert short is not None
    assert short.save(tmp_path) == path
    assert path.read_bytes() == b"!"
    finding.save(tmp_path)
    assert path.read_bytes() == b"!"
    assert "ZeroDivisionError" in path.with_suffix(".txt").read_text()


def test_choices_beyond_the_end_are_zero() -> None:
    source = Source(b"\x05\x01\x02")
    assert (source.below(4), source.number(4), source.octet(), source.rest()) == (1, 0x0201, 0, b"")


@pytest.mark.parametrize(
    ("sizes", "pieces"), [([], [b"abcde"]), ([2], [b"ab", b"cd", b"e"]), ([1, 3], [b"a", b"bcd", b"e"])]
)
def test_cut(sizes: list[int], pieces: list[bytes]) -> None:
    assert cut(b"abcde", sizes) == pieces


@pytest.mark.slow
def test_it_goes_on_where_it_stopped_and_says_what_it_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["fuzz", "--target", "frame", "--engine", "blind", "--runs", "300", "--cache", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", words)
    assert fuzz.main() == 0
    assert fuzz.main() == 0
    out = capsys.readouterr().out
    assert "NOT guided by coverage" in out
    assert out.splitlines()[-1].split()[:3] == ["frame", "300", "600"]
    assert {path.read_bytes() for path in (tmp_path / "frame" / "corpus").iterdir()} >= set(FRAME.seeds())


def test_a_finding_ends_it_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = Fuzzing(FRAME, tmp_path, "blind")
    (kept.findings / "timeout-0123").write_bytes(b"an input that hung")
    monkeypatch.setattr(sys, "argv", ["fuzz", "--target", "frame", "--runs", "0", "--cache", str(tmp_path)])
    monkeypatch.setattr(Fuzzing, "recheck", Fuzzing._take_killers)
    assert fuzz.main() == 1
    assert "frame: timeout: it hung, or ended the process" in capsys.readouterr().out


def test_an_unknown_target_is_told_the_known_ones(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["fuzz", "--target", "frames"])
    assert fuzz.main() == 2
    assert "expected all, or some of frame, greeting, handshake" in capsys.readouterr().err
