"""Material to bytes and back: exact sizes, equal results, nothing else accepted."""

from __future__ import annotations

import io
import stat
from pathlib import Path

import numpy as np
import pytest

from pehealth.codec.material import Part, RecordLayout, common_layout, load_gate, pack_gate, second_layout
from pehealth.codec.material_file import HEADER_BYTES, Header, read_header, read_records, write_material
from pehealth.codec.packing import Field, Layout
from pehealth.config import Party
from pehealth.crypto import gate_max, gate_relu, gate_rescale, gate_select
from pehealth.crypto.gate_max import MaxGate
from pehealth.crypto.gate_relu import ReluGate
from pehealth.crypto.gate_rescale import RescaleGate
from pehealth.crypto.gate_select import SelectGate
from pehealth.crypto.gates import Dealt, Gate
from pehealth.crypto.prg import Prg
from pehealth.errors import MaterialError, PeerProtocolError

PLAN = bytes(range(32))
GATES = [kind for k in (8, 32, 40, 43, 64) for kind in (ReluGate(k, 10), RescaleGate(k, 10), MaxGate(k), SelectGate(k))]


def deal(gate: Gate, count: int, seed1: Prg, rng: Prg) -> Dealt[Gate]:
    r = rng.ring(count, gate.ring)
    if isinstance(gate, SelectGate):
        return gate_select.deal(r, rng.ring(count, gate.ring), gate, seed1, rng)
    module = {ReluGate: gate_relu, RescaleGate: gate_rescale, MaxGate: gate_max}[type(gate)]
    return module.deal(r, gate, seed1, rng)


@pytest.mark.parametrize("gate", GATES, ids=str)
@pytest.mark.parametrize("count", [1, 7])
def test_gate_material_comes_back_from_its_bytes(gate: Gate, count: int) -> None:
    rng = Prg.insecure_seed(1)
    dealt = deal(gate, count, rng.child("E1"), rng)
    common, own = pack_gate(dealt)
    assert len(common) == common_layout(gate, count).size
    assert len(own) == second_layout(gate, count).size
    for party, part in ((Party.E1, rng.child("E1")), (Party.E2, own)):
        loaded, wanted = load_gate(gate, count, memoryview(common), part), dealt.material(party)
        for name in ("masks", "terms", "roots"):
            assert np.array_equal(getattr(loaded.half, name), getattr(wanted.half, name)), name
        assert (loaded.common is None) == (gate.comparison is None)
        if loaded.common is not None and wanted.common is not None:
            assert loaded.common.hash_key == wanted.common.hash_key
            for name in ("seed", "tau", "value", "leaf"):
                assert np.array_equal(getattr(loaded.common, name), getattr(wanted.common, name)), name


@pytest.mark.parametrize(
    ("gate", "common", "own"),
    [
        (ReluGate(32, 10**4), 498, 16),
        (ReluGate(40, 10**4), 807, 20),
        (ReluGate(48, 10**4), 1164, 24),
        (ReluGate(64, 10**4), 2022, 32),
        (ReluGate(40, 1), 1211.625, 20),
        (MaxGate(40), 1006.625, 15),
        (SelectGate(40), 1211.625, 25),
        (RescaleGate(40, 10**4), 0, 15),
    ],
    ids=str,
)
def test_bytes_a_gate(gate: Gate, common: float, own: int) -> None:
    """A layer's public hash key (16 bytes) and E2's seed (32) come once, for any number of gates."""
    keys = (16, 32) if gate.comparison else (0, 0)
    assert common_layout(gate, 800).size - keys[0] == 800 * common
    assert second_layout(gate, 800).size - keys[1] == 800 * own


def test_material_of_the_wrong_length_is_refused() -> None:
    rng, gate = Prg.insecure_seed(2), ReluGate(16, 10)
    common, own = pack_gate(deal(gate, 5, rng.child("E1"), rng))
    for bad_common, bad_own in ((common[:-1], own), (common + b"\0", own), (common, own[1:])):
        with pytest.raises(PeerProtocolError):
            load_gate(gate, 5, bad_common, bad_own)


def record_layout() -> RecordLayout:
    relu = Part.of_gate("2.relu", ReluGate(16, 10), 5)
    return RecordLayout((Part("1.dense", Layout(()), Layout((Field("products", (3,), 16),))), relu))


def test_a_record_is_split_into_what_was_joined() -> None:
    layout, rng = record_layout(), Prg.insecure_seed(3)
    seed1 = rng.key()
    relu = pack_gate(deal(ReluGate(16, 10), 5, layout.generator(seed1, "2.relu"), rng))
    first, second = layout.join(seed1, {"1.dense": (b"", b"abcdef"), "2.relu": relu})
    assert (len(first), len(second)) == (layout.size(Party.E1), layout.size(Party.E2))
    assert len(first) == 32 + len(relu[0])
    of_first, of_second = layout.split(Party.E1, first), layout.split(Party.E2, second)
    assert of_second["1.dense"].own == b"abcdef"
    assert of_first["2.relu"].common == of_second["2.relu"].common == relu[0]
    assert of_second["2.relu"].own == relu[1]
    own = of_first["2.relu"].own
    assert isinstance(own, Prg)
    assert own.key() == layout.generator(seed1, "2.relu").key()
    assert "Prg" not in repr(of_first)


def test_records_of_another_size_are_refused() -> None:
    layout = record_layout()
    with pytest.raises(MaterialError, match="another plan"):
        layout.split(Party.E1, bytes(layout.size(Party.E1) + 1))
    with pytest.raises(ValueError, match=r"2\.relu"):
        layout.join(bytes(32), {"1.dense": (b"", bytes(6)), "2.relu": (b"", b"")})
    with pytest.raises(ValueError, match="repeat"):
        RecordLayout((layout.parts[0], layout.parts[0]))


# ---- files

HEADER = Header(PLAN, Party.E2, 100, 3, 5)
RECORDS = [b"aaaaa", b"bbbbb", b"ccccc"]


def write(path: Path) -> bytes:
    write_material(path, HEADER, RECORDS)
    return path.read_bytes()


def read(data: bytes) -> list[tuple[int, bytes]]:
    source = io.BytesIO(data)
    return list(read_records(source, read_header(source)))


def test_a_file_comes_back_and_belongs_to_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "material"
    data = write(path)
    assert len(data) == HEADER.file_size == HEADER_BYTES + 3 * (5 + 32)
    assert read_header(io.BytesIO(data)) == HEADER
    assert read(data) == list(zip((100, 101, 102), RECORDS, strict=True))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["material"]


def test_any_changed_byte_is_noticed(tmp_path: Path) -> None:
    data = write(tmp_path / "material")
    for at in range(len(data)):
        bad = bytearray(data)
        bad[at] ^= 1
        with pytest.raises(MaterialError):
            read(bytes(bad))


def test_any_cut_and_any_tail_is_noticed(tmp_path: Path) -> None:
    data = write(tmp_path / "material")
    for size in range(len(data)):
        with pytest.raises(MaterialError):
            read(data[:size])
    with pytest.raises(MaterialError, match="follow the last record"):
        read(data + b"\0")


def test_records_that_changed_places_are_noticed(tmp_path: Path) -> None:
    data, step = write(tmp_path / "material"), 5 + 32
    a, b = HEADER_BYTES, HEADER_BYTES + step
    swapped = data[:a] + data[b : b + step] + data[a:b] + data[b + step :]
    with pytest.raises(MaterialError, match="record 100 is damaged or misplaced"):
        read(swapped)


def test_another_version_is_named() -> None:
    data = bytearray(HEADER.pack())
    data[8] = 9
    with pytest.raises(MaterialError, match="version 9"):
        Header.unpack(bytes(data))


def test_a_writer_keeps_to_its_header(tmp_path: Path) -> None:
    for records in (RECORDS[:2], [*RECORDS, b"ddddd"], [b"aaaa", *RECORDS[1:]]):
        with pytest.raises(ValueError, match="header"):
            write_material(tmp_path / "material", HEADER, records)
        assert not (tmp_path / "material").exists()
    with pytest.raises(ValueError, match="E1 or E2"):
        Header(PLAN, Party.HC, 0, 1, 1)
