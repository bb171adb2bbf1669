"""The wheel holds the three packages with all that they need, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("pehealth", "parties", "transport")
LEAST_SETUPTOOLS = 77

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel without a network, from a copy: setuptools leaves a build folder behind."""
    if int(metadata.version("setuptools").split(".")[0]) < LEAST_SETUPTOOLS:
        pytest.skip(f"needs setuptools {LEAST_SETUPTOOLS}, which scripts/test installs")
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in (*PACKAGES, "tests", "scripts", "docs"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-index", "--no-build-isolation"]
    built = subprocess.run([*command, "-w", out, source], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (path,) = out.glob("*.whl")
    return path


def test_the_wheel_runs_anywhere(wheel: Path) -> None:
    """Pure Python: no compiler on the user's machine."""
    assert wheel.name.endswith("-py3-none-any.whl")


def test_the_wheel_holds_the_three_packages_and_nothing_else(wheel: Path) -> None:
    """`parties` and `transport` are names that others use too: nothing more may land beside them."""
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)
    packed = {name for name in names if ".dist-info/" not in name}
    suffixes = (".py", ".json", ".npz", ".css", ".html", ".toml")
    in_tree = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.suffix in suffixes or path.name == "py.typed"
    }
    assert packed == in_tree
    assert {f"{package}/py.typed" for package in PACKAGES} <= packed
    assert "pehealth/schema/result-1.json" in packed
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_the_wheel_starts_where_no_source_is(wheel: Path, tmp_path: Path) -> None:
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", tmp_path, wheel]
    subprocess.run(install, check=True, capture_output=True)
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-P", "-m", "parties", "--version"]
    shown = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    assert shown.stdout.startswith("pehealth ")
