"""Downloads from a server of our own on 127.0.0.1: right, missing, wrong, cut short, too slow."""

import gzip
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pehealth.data import fetch as module
from pehealth.data.fetch import fetch
from pehealth.data.files import Part, Source
from pehealth.errors import ConfigError

CONTENT = {"one": b"one\n" * 100_000, "two": b"two\n" * 10}
PARTS = tuple(Part(f"{n}.gz", n, 1, hashlib.sha256(d).hexdigest()) for n, d in CONTENT.items())
TOY = Source("toy", "toys", PARTS, ("http://127.0.0.1:9/never/",))


class Handler(BaseHTTPRequestHandler):
    """Serves /<behaviour>/<file>."""

    def do_GET(self) -> None:
        behaviour, _, name = self.path[1:].partition("/")
        body = gzip.compress(CONTENT.get(name.removesuffix(".gz"), b""))
        if behaviour == "missing":
            self.send_error(404)
            return
        if behaviour == "wrong":
            body = gzip.compress(b"something else")
        if behaviour == "page":
            body = b"<html>Sign in to this network</html>"
        self.send_response(200)
        if behaviour != "silent-length":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if behaviour == "cut" else body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Tests print nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(module, "SOURCES", {"toy": TOY})
    monkeypatch.setenv("no_proxy", "*")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{http.server_address[1]}"
        http.shutdown()
        thread.join()


def placed(directory: Path) -> dict[str, bytes]:
    return {str(p.relative_to(directory)): p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file()}


RIGHT = {f"toys/{name}": data for name, data in CONTENT.items()}


@pytest.mark.parametrize("behaviour", ["good", "silent-length"])
def test_right_files_are_put_in_place_unpacked(server: str, behaviour: str, tmp_path: Path) -> None:
    assert fetch("toy", tmp_path / "new", mirrors=[f"{server}/{behaviour}/"]) == tmp_path / "new" / "toys"
    assert placed(tmp_path / "new") == RIGHT


@pytest.mark.parametrize("bad", ["missing", "wrong", "cut", "page"])
def test_the_next_mirror_is_tried_after_a_bad_one(server: str, bad: str, tmp_path: Path) -> None:
    fetch("toy", tmp_path, mirrors=[f"{server}/{bad}/", f"{server}/good/"])
    assert placed(tmp_path) == RIGHT


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("missing", "404"),
        ("wrong", f"sha256 {PARTS[0].sha256} expected"),
        ("cut", r"stopped after \d+ of \d+ bytes"),
        ("page", r"1 file\(s\) one expected, 0 found"),
    ],
)
def test_nothing_is_put_in_place_if_no_mirror_is_right(server: str, bad: str, reason: str, tmp_path: Path) -> None:
    old = tmp_path / "toys" / "one"
    old.parent.mkdir()
    old.write_bytes(b"old")
    with pytest.raises(ConfigError, match=reason) as caught:
        fetch("toy", tmp_path, mirrors=[f"{server}/{bad}/"])
    assert f"{server}/{bad}/one.gz" in str(caught.value)
    assert "--from" in str(caught.value)
    assert placed(tmp_path) == {"toys/one": b"old"}


def test_one_bad_file_of_two_keeps_both_out(server: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"two.gz could not be fetched"):
        fetch("toy", tmp_path, mirrors=[f"{server}/good/one.gz"])
    assert placed(tmp_path) == {}


def test_old_files_are_replaced(server: str, tmp_path: Path) -> None:
    (tmp_path / "toys").mkdir()
    (tmp_path / "toys" / "one").write_bytes(b"old")
    fetch("toy", tmp_path, mirrors=[f"{server}/good/"])
    assert placed(tmp_path) == RIGHT


def test_progress_is_told_to_the_end(server: str, tmp_path: Path) -> None:
    calls: list[tuple[str, int, int | None]] = []
    fetch("toy", tmp_path, mirrors=[f"{server}/good/"], progress=lambda *now: calls.append(now))
    for name in ("one", "two"):
        steps = [(done, total) for address, done, total in calls if address.endswith(f"{name}.gz")]
        assert steps[-1][0] == steps[-1][1] == len(gzip.compress(CONTENT[name]))
        assert [done for done, _ in steps] == sorted(done for done, _ in steps)


def test_a_download_past_its_deadline_is_given_up(server: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="took longer than 0 s"):
        fetch("toy", tmp_path, mirrors=[f"{server}/good/"], deadline=0.0)


def test_a_closed_port_and_a_foreign_scheme_are_reported(server: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="refused") as caught:
        fetch("toy", tmp_path, mirrors=["http://127.0.0.1:9/", "file:///etc/"])
    assert "file:///etc/one.gz is not an http or https address" in str(caught.value)


def test_a_file_or_folder_given_by_hand_is_checked_the_same_way(server: str, tmp_path: Path) -> None:
    hand = tmp_path / "hand"
    hand.mkdir()
    (hand / "one").write_bytes(CONTENT["one"])
    (hand / "two.gz").write_bytes(gzip.compress(CONTENT["two"]))
    fetch("toy", tmp_path / "data", from_file=hand)
    assert placed(tmp_path / "data") == RIGHT
    (hand / "one").write_bytes(b"wrong")
    with pytest.raises(ConfigError, match=r"one.gz in .*hand has changed"):
        fetch("toy", tmp_path / "data", from_file=hand)
    with pytest.raises(ConfigError, match=r"1 file\(s\) one expected, 0 found"):
        fetch("toy", tmp_path / "data", from_file=hand / "two.gz")
    with pytest.raises(ConfigError, match="none is not there; --from takes the downloaded file"):
        fetch("toy", tmp_path / "data", from_file=tmp_path / "none")
    assert placed(tmp_path / "data") == RIGHT


def test_an_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no data set 'clinic' to fetch; known: postoperative, wearable, mnist"):
        fetch("clinic", tmp_path)
