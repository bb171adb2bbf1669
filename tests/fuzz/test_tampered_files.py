"""Damage all over files of material and models, and archives that were made to hurt: refused in words, or unharmed."""

from __future__ import annotations

import io
import json
import pickle
import tracemalloc
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from fuzzing.models import small_model
from fuzzing.tamper import cuts, flips

from pehealth.codec.material_file import HEADER_BYTES, Header, read_header, read_records, write_material
from pehealth.config import Party
from pehealth.errors import ConfigError, MaterialError
from pehealth.nets.arrays_file import read_arrays
from pehealth.nets.weights import load
from pehealth.store.material import MaterialStore

PLAN = bytes(range(32))
RECORDS = [bytes([n]) * 60 for n in range(5)]
MIB = 2**20


@pytest.fixture
def material(tmp_path: Path) -> Path:
    path = tmp_path / "E2.material"
    write_material(path, Header(PLAN, Party.E2, 7, len(RECORDS), 60), RECORDS)
    return path


def test_every_bit_of_a_file_of_material(material: Path) -> None:
    data = material.read_bytes()
    for what, damaged in (*flips(data, 1), *cuts(data, 60)):
        stream = io.BytesIO(damaged)
        with pytest.raises(MaterialError):
            list(read_records(stream, read_header(stream)))
            raise AssertionError(what)


def test_a_damaged_file_of_material_adds_nothing_to_a_store(material: Path) -> None:
    data = material.read_bytes()
    store = MaterialStore.create(material.with_name("material.db"), PLAN, Party.E2)
    for _, damaged in (*flips(data, 41), *cuts(data)):
        with pytest.raises(MaterialError):
            store.import_file(io.BytesIO(damaged))
        assert not store.stock
    assert store.import_file(io.BytesIO(data)) == len(RECORDS)
    store.close()


def test_records_in_each_others_place_are_refused(material: Path) -> None:
    data, size = material.read_bytes(), 60 + 32
    first, second = (data[HEADER_BYTES + n * size :][:size] for n in (0, 1))
    stream = io.BytesIO(data[:HEADER_BYTES] + second + first + data[HEADER_BYTES + 2 * size :])
    with pytest.raises(MaterialError, match="record 7 is damaged or misplaced"):
        list(read_records(stream, read_header(stream)))


def test_a_header_that_promises_much_takes_no_memory() -> None:
    header = Header(PLAN, Party.E1, 0, 2**40, 2**50)
    stream = io.BytesIO(header.pack() + bytes(100))
    tracemalloc.start()
    with pytest.raises(MaterialError, match="ends within record 0"):
        list(read_records(stream, read_header(stream)))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 3 * MIB


def test_every_byte_of_a_model_file() -> None:
    data = small_model()
    whole, ends = load(io.BytesIO(data)).digest(), Counter[str]()
    for what, damaged in (*flips(data, 1), *cuts(data, 60)):
        try:
            assert load(io.BytesIO(damaged)).digest() == whole, what
            ends["used"] += 1
        except ConfigError as error:
            told = str(error)
            named = "is not a model file of pehealth" in told or "the model: " in told
            ends["refused" if named else f"{what}: {told}"] += 1
    # Dates, permissions and the like of an archive's entries mean nothing to us.
    assert set(ends) == {"refused", "used"}
    assert ends["refused"] > 0.7 * len(data)


def archive(**entries: bytes) -> io.BytesIO:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in entries.items():
            made.writestr(f"{name}.npy", content)
    out.seek(0)
    return out


def npy(descr: str, shape: str, body: bytes) -> bytes:
    head = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + body


def refusal(stream: io.BytesIO, most: int = 2**30) -> str:
    tracemalloc.start()
    try:
        with pytest.raises(ValueError) as caught:
            read_arrays(stream, most)
        assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    finally:
        tracemalloc.stop()
    return str(caught.value)


def test_an_archive_that_unpacks_to_much_is_refused_before_it_does() -> None:
    zeros = npy("<f8", "(8388608,)", bytes(64 * MIB))
    packed = archive(**{"1.dense.weight": zeros, "1.dense.bias": zeros})
    assert len(packed.getvalue()) < MIB
    assert "it unpacks to 134" in refusal(packed, 100 * MIB)


def test_an_archive_that_says_it_is_small_gives_no_more_than_it_says() -> None:
    """The sizes in a zip's directory are its maker's: what is read ends where they do."""
    packed = bytearray(archive(a=npy("<f8", "(8388608,)", bytes(64 * MIB))).getvalue())
    there = packed.rindex((64 * MIB + 128).to_bytes(4, "little"))
    packed[there : there + 4] = (1000).to_bytes(4, "little")
    assert "Bad CRC-32 for file" in refusal(io.BytesIO(bytes(packed)))


def test_objects_are_not_unpickled() -> None:
    class Payload:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (pytest.fail, ("a pickle was loaded",))

    pickled = pickle.dumps([Payload()])
    assert "holds object, not numbers" in refusal(archive(a=npy("|O", "(1,)", pickled)))
    out = io.BytesIO()
    np.savez(out, a=np.array([Payload()], object), allow_pickle=True)
    out.seek(0)
    assert "holds object, not numbers" in refusal(out)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ("(1000000000000,)", "takes 8000000000000 bytes; 8 are there"),
        ("(4611686018427387904, 4611686018427387904)", "are there"),
        ("(-1,)", "has shape (-1,)"),
        ("(-1, -1)", "has shape"),
        ("(1.5,)", "not valid|no .npy header"),
        ("(True,)", "has shape (True,)"),
        ("'x'", "not valid|no .npy header"),
        ("()", ""),
    ],
)
def test_shapes_that_are_none(shape: str, words: str) -> None:
    content = archive(a=npy("<f8", shape, bytes(8)))
    if words:
        told = refusal(content)
        assert any(word in told for word in words.split("|")), told
    else:
        assert read_arrays(content)["a"].shape == ()


def test_weights_that_are_no_numbers_name_their_layer() -> None:
    for value, kind in ((np.nan, "<f8"), (np.inf, "<f8"), (-np.inf, "<f4")):
        data = dict(np.load(io.BytesIO(small_model())))
        name = next(name for name in data if name.endswith("dense.weight"))
        data[name] = np.full(data[name].shape, value, kind)
        out = io.BytesIO()
        np.savez(out, **data)
        out.seek(0)
        with pytest.raises(ConfigError, match=rf"{name.removesuffix('.weight')}: \d+ weights are not finite"):
            load(out)


def test_a_network_that_is_larger_than_its_file_takes_no_memory() -> None:
    data = dict(np.load(io.BytesIO(small_model())))
    head = json.loads(data["model.json"].tobytes())
    head["network"]["layers"][-1]["units"] = 2**31 - 1
    data["model.json"] = np.frombuffer(json.dumps(head).encode(), np.uint8)
    out = io.BytesIO()
    np.savez(out, **data)
    out.seek(0)
    tracemalloc.start()
    with pytest.raises(ConfigError, match="2147483647 logits for 2 classes"):
        load(out)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 8 * MIB
