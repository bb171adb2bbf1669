"""The two commands of the README start anywhere, and install again only when they must."""

from __future__ import annotations

import importlib.util
import os
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
SCRIPTS = ("scripts/test", "scripts/demo", "scripts/netcheck", "scripts/peers", ".ci/run", "scripts/environment.sh")


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """scripts/environment.py, with a clone in a temporary folder; what it would run is kept in `ran`."""
    spec = importlib.util.spec_from_file_location("environment", ROOT / "scripts" / "environment.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "pyproject.toml").write_text("[project]")
    (tmp_path / "requirements-ci.txt").write_text("numpy==2.4.6")
    for name, path in (("ROOT", ""), ("HOME", ".venv"), ("PINS", "requirements-ci.txt")):
        monkeypatch.setattr(module, name, tmp_path / path)
    monkeypatch.setattr(module, "STAMP", tmp_path / ".venv" / "pehealth-installed.json")
    module.ran = []
    monkeypatch.setattr(module, "run", lambda *command: module.ran.append(command))
    monkeypatch.setattr(module, "make", lambda: module.HOME.mkdir(exist_ok=True))
    for name in ("PEHEALTH_LATEST", "CI"):
        monkeypatch.delenv(name, raising=False)
    return module


def prepare(module: ModuleType, extras: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run it and return how many installations it made."""
    module.ran.clear()
    monkeypatch.setattr(sys, "argv", ["environment.py", extras])
    assert module.main() == 0
    return len(module.ran)


def test_a_second_run_installs_nothing(environment: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    assert prepare(environment, "test,demo", monkeypatch) == 1
    assert environment.ran[0][-2:] == ("-c", str(environment.PINS))
    assert prepare(environment, "test,demo", monkeypatch) == 0
    assert prepare(environment, "demo", monkeypatch) == 0


def test_what_an_installation_depends_on_installs_again(
    environment: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(environment, "demo", monkeypatch)
    assert prepare(environment, "test,demo", monkeypatch) == 1
    for file in ("pyproject.toml", "requirements-ci.txt"):
        (environment.ROOT / file).write_text("changed")
        assert prepare(environment, "demo", monkeypatch) == 1
    monkeypatch.setattr(sys, "version", "3.99")
    assert prepare(environment, "demo", monkeypatch) == 1
    environment.STAMP.write_text("{")
    assert prepare(environment, "demo", monkeypatch) == 1


def test_pins_that_cannot_be_had_are_left_out_except_in_ci(
    environment: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_pins(*command: str) -> None:
        environment.ran.append(command)
        if "-c" in command:
            raise subprocess.CalledProcessError(1, command)

    monkeypatch.setattr(environment, "run", no_pins)
    assert prepare(environment, "demo", monkeypatch) == 2
    environment.STAMP.unlink()
    monkeypatch.setenv("CI", "true")
    assert environment.main() == 2
    assert not environment.STAMP.exists()


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_scripts_are_bash(script: str) -> None:
    subprocess.run(["bash", "-n", ROOT / script], check=True)
    assert os.access(ROOT / script, os.X_OK) is not script.endswith(".sh")


def test_without_a_python_the_scripts_say_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "dirname").symlink_to("/usr/bin/dirname")
    shown = subprocess.run(
        ["/bin/bash", ROOT / "scripts" / "demo"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 2
    assert "pehealth needs Python 3.11 or newer" in shown.stderr


def test_the_commands_of_the_readme_are_commands() -> None:
    """Every `pehealth ...` line parses: its command and flags exist."""
    from parties import cli

    lines = [line.partition("#")[0] for line in (ROOT / "README.md").read_text().splitlines()]
    ours = ("$ pehealth ", "$ pehealth-env/bin/pehealth ")
    commands = [shlex.split(line)[2:] for line in lines if line.startswith(ours)]
    assert len(commands) >= 5
    app = cli.build()
    for words in commands:
        app.parse_args(words, exit_on_error=False, print_error=False)
