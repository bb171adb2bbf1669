"""The sensor's own command: lines of readings in, lines of JSON out."""

import io
import json
from types import SimpleNamespace

import pytest
import trio

from pehealth.sensor import __main__ as command


@pytest.fixture
def settings(tmp_path):
    def write(addresses) -> str:
        peers = ", ".join(f'{name} = "{address}"' for name, address in addresses.items())
        file = tmp_path / "HMS1.toml"
        head = f'party = "HMS1"\ndeployment = "north-clinic"\npeers = {{{peers}}}\n'
        file.write_text(head + "tls = {insecure_plain = true}\n")
        return str(file)

    return write


async def run(monkeypatch, text: str, *arguments: str) -> int:
    monkeypatch.setattr(command.sys, "stdin", io.StringIO(text))
    return await trio.to_thread.run_sync(command.main, arguments)


async def test_a_line_each(serve, new_service, settings, monkeypatch, capsys) -> None:
    async with serve(new_service()) as service:
        assert await run(monkeypatch, "100,0,200\n\n1,2,3\n", settings(service.addresses)) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["logits"] for line in lines] == [[0.5, 0, 1], [0.005, 0.01, 0.015]]
    assert [line["query"] for line in lines] == [100, 101]


async def test_windows_of_a_time_series(serve, new_service, settings, monkeypatch, capsys) -> None:
    async with serve(new_service()) as service:
        arguments = (settings(service.addresses), "--window", "3", "--stride", "1")
        assert await run(monkeypatch, "".join(f"{value}\n" for value in (2, 4, 6, 8, 10)), *arguments) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["logits"] for line in lines] == [[0.01, 0.02, 0.03], [0.02, 0.03, 0.04], [0.03, 0.04, 0.05]]


async def test_figures(serve, new_service, settings, monkeypatch, capsys) -> None:
    async with serve(new_service()) as service:
        arguments = (settings(service.addresses), "--measure", "3", "--tracemalloc")
        assert await run(monkeypatch, "1,2,3", *arguments) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["queries"] == 3
    # A seed and 2 * 3 words of 40 bits, two frames; two submits and an expect with their headers.
    assert 3 * 24 + 32 + 24 + 30 < figures["query_bytes"][0] < 400
    assert figures["peak_kib"] >= figures["interpreter_kib"] > 0 < figures["traced_peak_kib"]


@pytest.mark.parametrize(
    ("text", "words"),
    [("1,x,3\n", "standard input line 1, column 2: is not a number"), ("1,2,201\n", "pulse 2 is outside of its range")],
)
async def test_what_is_wrong_is_said_in_a_line(
    serve, new_service, settings, monkeypatch, capsys, text: str, words: str
) -> None:
    async with serve(new_service()) as service:
        assert await run(monkeypatch, text, settings(service.addresses)) == 2
    assert words in capsys.readouterr().err


async def test_what_makes_no_sense(serve, new_service, settings, monkeypatch, capsys) -> None:
    async with serve(new_service()) as service:
        assert await run(monkeypatch, "", settings(service.addresses), "--measure", "1") == 2
    assert "holds no sample" in capsys.readouterr().err
    for arguments in (("--stride", "2"), ("--window", "-1")):
        with pytest.raises(SystemExit) as caught:
            command.main(["HMS1.toml", *arguments])
        assert caught.value.code == 2


def test_a_line_without_end_is_refused(monkeypatch) -> None:
    endless = SimpleNamespace(readline=lambda most: "1" * most)
    with pytest.raises(ValueError, match="longer than"):
        next(command._rows(endless))
