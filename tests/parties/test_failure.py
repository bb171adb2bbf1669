"""Of many exceptions the first cause is found, and it decides the exit code."""

from __future__ import annotations

import pytest

from parties.failure import PartyFailed, exit_code, first_cause, is_echo
from pehealth.errors import ConfigError, MaterialError, PeerAborted, PeerProtocolError, RangeError
from transport.errors import FrameError, HandshakeMismatch, LinkClosed, PeerAbort, PeerLost, PeerTimeout


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("x"), 2),
        (RangeError("x"), 2),
        (MaterialError("x"), 2),
        (HandshakeMismatch("E2", "net", 1, 2), 2),
        (PeerLost("x"), 3),
        (PeerTimeout("x"), 3),
        (PeerAborted("E1", "x"), 3),
        (PeerAbort("E1", "x"), 3),
        (FrameError("x"), 4),
        (PeerProtocolError("x"), 4),
        (ValueError("x"), 70),
        (PartyFailed("E1", "x", exit_code=4), 4),
        (KeyboardInterrupt(), 130),
    ],
)
def test_exit_codes(error: BaseException, code: int) -> None:
    assert exit_code(error) == code


def test_an_own_error_comes_before_its_echoes() -> None:
    cause = PeerProtocolError("E2 sent 3 bytes")
    group = ExceptionGroup(
        "", [PeerLost("E1"), ExceptionGroup("", [PeerAborted("E1", "x"), cause]), ValueError("later")]
    )
    assert first_cause(group) is cause


def test_an_echo_alone_is_the_cause() -> None:
    lost = PeerLost("E1")
    assert first_cause(ExceptionGroup("", [lost, PeerAbort("E1", "x")])) is lost


def test_an_interrupt_comes_before_all_else() -> None:
    interrupt = KeyboardInterrupt()
    assert first_cause(BaseExceptionGroup("", [ValueError("x"), BaseExceptionGroup("", [interrupt])])) is interrupt


@pytest.mark.parametrize(
    ("error", "echo"),
    [
        (LinkClosed("x"), True),
        (HandshakeMismatch("E2", "net", 1, 2), False),
        (PartyFailed("E1", "x"), False),
        (PartyFailed("E1", "x", distance=3), True),
        (ConfigError("x"), False),
    ],
)
def test_who_only_saw_another_fail_is_an_echo(error: BaseException, echo: bool) -> None:
    assert is_echo(error) is echo
