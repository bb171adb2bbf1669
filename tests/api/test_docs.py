"""The examples of docs/api.md run, and print what is written below them."""

import csv
import re
from pathlib import Path

import pytest

from pehealth.api import centre as module
from pehealth.data import clinic

README = (Path(__file__).parents[2] / "README.md").read_text()
TEXT = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize(("code", "printed"), EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example(code: str, printed: str, client, opened, tmp_path, monkeypatch, capsys) -> None:
    data = clinic.load_clinic()
    with (tmp_path / "patients.csv").open("w", newline="") as file:
        rows = data.ranges.raw(data.features[data.test[:10]])
        csv.writer(file).writerows([data.ranges.names, *rows.tolist()])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "client_settings", lambda path: {"hms1.toml": None}[str(path)])
    monkeypatch.setattr(module.Client, "connect", lambda _settings, **_options: opened(client))
    exec(compile(code, "docs/api.md", "exec"), {"__name__": "example"})  # noqa: S102 - our own document
    assert capsys.readouterr().out == printed


def test_every_example_is_run() -> None:
    assert len(EXAMPLES) == TEXT.count("```python") == 4


def test_the_example_of_the_readme(client, opened, monkeypatch, capsys) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    data = clinic.load_clinic()
    monkeypatch.setattr(module, "client_settings", lambda _path: None)
    monkeypatch.setattr(module.Client, "connect", lambda _settings, **_options: opened(client))
    exec(compile(code, "README.md", "exec"), {"patient": data.ranges.raw(data.features[data.test[8:9]])})  # noqa: S102
    assert capsys.readouterr().out.startswith("malignant [[")
