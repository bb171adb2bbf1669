"""The search for secrets finds each form of each kind, so that what it does not find is not there."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest
from secret_search import Secrets, collect

from pehealth.crypto.prg import Prg

KEY = bytes.fromhex("9f1c00a7e2405bd8137fce66208b31d4f5aa07c9182d3e4b6c7d8e9fa0b1c2d3")
PIECE = KEY[5:13]
READINGS = np.array([[0.48372619, 0.5512938, 0.10029384, 0.9182736]])
SHARES = np.array([917_364_519_273, 12, 640_128_551_902], np.uint64)


@pytest.fixture
def secrets() -> Secrets:
    kept = Secrets()
    kept.add_bytes(KEY)
    kept.add_numbers(READINGS)
    kept.add_numbers((READINGS * 10_000).astype(np.int64))
    kept.add_numbers(SHARES)
    return kept


PLANTED = {
    "raw": b"key " + PIECE,
    "hex": f"key {PIECE.hex()}",
    "hex, odd": f"a{PIECE.hex()}",
    "hex, upper": PIECE.hex().upper(),
    "hex, colons": PIECE.hex(":"),
    "hex, spaces": PIECE.hex(" "),
    "base64": base64.b64encode(KEY).decode(),
    "base64, cut": base64.b64encode(KEY[3:14]).decode().rstrip("="),
    "base64, url": base64.urlsafe_b64encode(b"-" + PIECE + b"-").decode(),
    "repr": f"Key(raw={PIECE!r})",
    "repr, cut": f"Key(raw={KEY!r})"[:60],
    "list": str(list(PIECE)),
    "numpy": str(np.frombuffer(KEY, np.uint8)),
    "tuple": str(tuple(PIECE)),
    "bytearray": repr(bytearray(PIECE)),
    "json, latin-1": json.dumps({"why": PIECE.decode("latin-1")}),
    "json, inside": json.dumps([{"a": {"b": [PIECE.hex()]}}]),
    "exception": repr(ValueError("bad", PIECE)),
    "share": f"share {SHARES[0]}",
    "shares": str(SHARES),
    "negative": f"{-int(SHARES[2])}",
    "readings": str(READINGS),
    "readings, list": str(READINGS.tolist()),
    "readings, integers": str((READINGS * 10_000).astype(int)),
    "label": f'pehealth_queries_total{{model="{PIECE.hex()}"}} 1.0',
}


@pytest.mark.parametrize("form", PLANTED)
def test_each_form_is_found(form, secrets):
    assert secrets.found_in(PLANTED[form])


def test_public_text_is_not(secrets):
    secrets.add_bytes(bytes(64))
    secrets.add_bytes(b"deployment north-clinic of clinic version 3")
    secrets.add_bytes(np.arange(100, dtype="<i8").tobytes())
    secrets.add_numbers(np.arange(1000) % 3)
    for text in (
        "E1: E2 sent 11 bytes as online 2.relu of query 1, 12 were expected",
        '{"time":"2026-11-24T12:00:00.000Z","deployment":"00000000000000000000000000000000","query":1,"version":2}',
        "north-clinic of clinic version 3 " + "0" * 200 + " 1 2 0 1 2 0 1 2",
        'pehealth_query_seconds_bucket{le="0.001"} 1.0\nprocess_resident_memory_bytes 1.23456789e+08\n',
    ):
        assert secrets.found_in(text) == []


def test_what_generators_give_out_is_collected(monkeypatch):
    kept = collect(monkeypatch)
    rng = Prg.insecure_seed(5)
    key, words = rng.child("mask").key(), rng.ring((4, 5), 40)
    assert kept.size > 100
    assert kept.found_in(f"{key.hex()}")
    assert kept.found_in(f"{words}")
    assert kept.found_in(f"{rng._key!r}")
    assert kept.found_in(f"{rng.below(3, 2**50)}")
    assert not kept.found_in(f"{rng}")
