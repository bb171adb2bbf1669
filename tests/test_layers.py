"""The layers of the design hold, and what does not communicate cannot."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("pehealth", "parties", "transport")
PLAIN = ("pehealth/engines", "pehealth/crypto", "pehealth/codec")
"""Packages of plain functions: a linear layer is handed no channel and cannot wait for anything."""


@pytest.mark.slow
def test_imports_go_one_way_down() -> None:
    """The contracts of pyproject.toml, as import-linter reads them."""
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    checked = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.slow
def test_every_module_imports_without_a_warning_or_a_word() -> None:
    """In a fresh interpreter, and without doing anything: no thread is left, nothing is printed."""
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if path.name != "__main__.py"
    ]
    code = f"import importlib, threading\nfor n in {names}: importlib.import_module(n)\nprint(threading.active_count())"
    command = [sys.executable, "-W", "error", "-c", code]
    imported = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (imported.stdout, imported.stderr) == ("1\n", "")


@pytest.mark.parametrize("package", PLAIN)
def test_what_computes_is_a_plain_function(package: str) -> None:
    """A step that does not communicate is no coroutine, so it cannot be handed one to await."""
    waits = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, waits)
    ]
    assert found == []
