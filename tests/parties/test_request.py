"""A request is checked as a whole; every problem is listed at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from parties.request import RunRequest, Transport
from pehealth.config import Engine, GroupName
from pehealth.errors import ConfigError


def test_the_default_request_is_secure_and_complete() -> None:
    request = RunRequest().checked()
    assert (request.engine, request.group, request.tls) == (Engine.RLWE, None, False)


@pytest.mark.parametrize("engine", [Engine.PAPER, Engine.DDH])
def test_no_engine_gets_an_insecure_group_unasked(engine: Engine) -> None:
    assert RunRequest(engine=engine).checked().group is GroupName.MODP3072


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.PROCESSES])
def test_tls_is_on_for_every_tcp_link_unless_refused(transport: Transport) -> None:
    assert RunRequest(transport=transport).checked().tls is True
    assert RunRequest(transport=transport, tls=False).checked().tls is False


BAD: list[tuple[dict[str, Any], str]] = [
    ({"digits": 13}, "--digits 13 is outside 0..12"),
    ({"digits": -1}, "--digits -1"),
    ({"ring": 65}, "--ring 65"),
    ({"engine": Engine.PAPER, "walk": 0}, "--walk 0"),
    ({"batch": 0}, "--batch 0"),
    ({"samples": 0}, "--samples 0"),
    ({"repeat": 0}, "--repeat 0"),
    ({"sensors": 0}, "--sensors 0"),
    ({"time_limit": 0.0}, "--time-limit 0"),
    ({"net": " "}, "--net is empty"),
    ({"group": GroupName.TOY32}, "--group toy32 has no meaning for --engine rlwe"),
    ({"walk": "fast"}, "--walk fast has no meaning for --engine rlwe"),
    ({"engine": Engine.DDH, "group": GroupName.TOY32}, "--engine ddh needs a group of real size"),
    ({"engine": Engine.DEALT, "lattice": "n4096-q104"}, "--lattice n4096-q104 has no meaning for --engine dealt"),
    ({"engine": Engine.PAPER, "dealer": True}, "--dealer has no meaning for --engine paper"),
    ({"engine": Engine.PAPER, "reveal": "class"}, "--reveal class has no meaning for --engine paper"),
    ({"engine": Engine.PAPER, "state": Path("s")}, "--state has no meaning for --engine paper"),
    ({"engine": Engine.DDH, "state": Path("s")}, "--state is for --engine dealt and rlwe"),
    ({"deal": False}, "--no-deal needs --state"),
    ({"batch": 3, "samples": 2}, "--batch 3 exceeds --samples 2"),
    ({"tls": True}, "--tls has no meaning for --transport memory"),
    ({"network": "moon"}, "came 'moon'"),
    ({"data_dir": Path("/nowhere/at/all")}, "--data-dir /nowhere/at/all is not a directory"),
    ({"trace": Path("/nowhere/at/all/t")}, "the directory /nowhere/at/all does not exist"),
]


@pytest.mark.parametrize(("settings", "words"), BAD)
def test_a_bad_setting_is_named_with_its_flag(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        RunRequest(**settings).checked()
    assert any(words in problem for problem in refused.value.problems)


def test_all_problems_are_listed_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        RunRequest(digits=99, ring=1, sensors=0, network="x", group=GroupName.TOY32).checked()
    assert len(refused.value.problems) == 5


@pytest.mark.parametrize(("samples", "batch", "queries"), [(1, 1, 1), (5, 2, 3), (6, 2, 3), (7, 7, 1)])
def test_the_last_query_may_be_short(samples: int, batch: int, queries: int) -> None:
    assert RunRequest(samples=samples, batch=batch).queries == queries
