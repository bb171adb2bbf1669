"""Data files in every packing, and what is said when they are not what they should be."""

import gzip
import hashlib
import io
import zipfile
from pathlib import Path

import pytest

from pehealth.data import files
from pehealth.data.files import Part, Source, data_directory, read_part, unpack
from pehealth.errors import ConfigError

FILES = {"d1": b"first\n" * 50, "d2": b"second\n" * 50}
PART = Part("all.zip", r"d\d", 2, hashlib.sha256(FILES["d1"] + FILES["d2"]).hexdigest())
SOURCE = Source("toy", "folder", (PART,), ("http://mirror/",))


def zipped(contents: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return stream.getvalue()


def in_folder(root: Path, contents: dict[str, bytes]) -> Path:
    for name, data in contents.items():
        path = root / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


PACKINGS = {
    "plain": FILES,
    "in folders": {"S1/d1": FILES["d1"], "S2/d2": FILES["d2"]},
    "gzip": {f"{n}.gz": gzip.compress(d) for n, d in FILES.items()},
    "zip": {"all.zip": zipped({"S1/d1": FILES["d1"], "S2/d2": FILES["d2"], "S1/README.txt": b"read me"})},
    "zip in a zip": {"uci.zip": zipped({"all.zip": zipped(FILES), "all.names": b"x"})},
    "gzip in a zip": {"all.zip": zipped({"d1.gz": gzip.compress(FILES["d1"]), "d2": FILES["d2"]})},
    "with others": {**FILES, "SOURCE.txt": b"x", "d10": b"not ours", "other.gz": b"\x1f\x8bdamaged"},
}


@pytest.mark.parametrize("packing", PACKINGS)
def test_files_are_found_in_any_packing(packing: str, tmp_path: Path) -> None:
    assert read_part(SOURCE, PART, in_folder(tmp_path, PACKINGS[packing])) == FILES


def test_a_plain_file_wins_over_a_packed_one(tmp_path: Path) -> None:
    stale = {"all.zip": zipped({"d1": b"old", "d2": b"old"}), "d1.gz": gzip.compress(b"old")}
    assert read_part(SOURCE, PART, in_folder(tmp_path, {**stale, **FILES})) == FILES


def test_a_changed_file_is_refused_with_both_hashes_and_the_remedy(tmp_path: Path) -> None:
    in_folder(tmp_path, {**FILES, "d2": b"second\r\n" * 50})
    with pytest.raises(ConfigError) as caught:
        read_part(SOURCE, PART, tmp_path)
    found = hashlib.sha256(FILES["d1"] + b"second\r\n" * 50).hexdigest()
    for piece in ("all.zip in", str(tmp_path), f"sha256 {PART.sha256} expected, {found} found", "data fetch toy"):
        assert piece in str(caught.value)


def test_a_missing_file_is_counted(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"2 file\(s\) d\\d expected, 1 found"):
        read_part(SOURCE, PART, in_folder(tmp_path, {"d1": FILES["d1"]}))


def test_a_missing_folder_or_directory_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"folder is not there: `pehealth data fetch toy` gets it, or --data-dir"):
        read_part(SOURCE, PART, tmp_path)
    with pytest.raises(ConfigError, match="the toy data is not here"):
        read_part(SOURCE, PART, None)


@pytest.mark.parametrize(
    "data", [zipped(FILES)[:200], gzip.compress(b"x" * 1000)[:15], b"PK\x03\x04junk", b"\x1f\x8bjunk"], ids=len
)
def test_damaged_packings_are_refused(data: bytes) -> None:
    with pytest.raises(ConfigError, match=r"all.zip is damaged"):
        unpack("all.zip", data, [PART])


def test_a_packing_that_would_fill_the_memory_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_UNPACKED_LIMIT", 1 << 20)
    large = bytes((1 << 20) + 1)
    for data in (zipped({"d1": large}), gzip.compress(large)):
        with pytest.raises(ConfigError, match="it is none of our data sets"):
            unpack("d1.gz", data, [PART])


def test_zips_nested_too_deep_are_left_alone() -> None:
    deep = zipped(FILES)
    for _ in range(3):
        deep = zipped({"all.zip": deep})
    assert unpack("all.zip", deep, [PART]) == {}


def test_the_data_directory_is_what_was_said_or_else_the_environment_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEHEALTH_DATA", "/from/environment")
    assert data_directory(None) == Path("/from/environment")
    assert data_directory(Path("said")) == Path("said")
    monkeypatch.delenv("PEHEALTH_DATA")
    assert data_directory(None) is None
