"""The comparison with other systems: its arithmetic, its table, and that no row is without its threat model."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from peer_programs.peer_common import Net, Parabolas, square, windows
from peer_table.environments import cache, environment, key_of
from peer_table.rows import Kept, Moved, Run
from peer_table.systems import PACKAGES, SYSTEMS, Packages
from peer_table.table import HEADINGS, delays, row, table
from testbed.capture import Capture, Seen

from pehealth.data.catalog import load as load_dataset
from pehealth.errors import ConfigError
from pehealth.nets.zoo import load_model

ROOT = Path(__file__).parents[2]
DEALT = next(s for s in SYSTEMS if s.key == "pehealth-dealt")
CKKS = next(s for s in SYSTEMS if s.key == "tenseal-ckks")


def run(**changes: object) -> Run:
    settings: dict[str, object] = {
        "system": DEALT.key, "batch": 1, "latency": 0.0, "online": (0.25, 0.125, 0.5), "offline": (0.0, 0.0, 0.0),
        "cold": 2.0, "links": {"E1->E2": 2_000_000, "E2->E1": 1_000_000}, "before": 7_500_000, "error": 0.01,
        "same": 1, "load": 0.5,
    }  # fmt: skip
    return Run(**{**settings, **changes})  # type: ignore[arg-type]


def filed(*runs: Run) -> dict[tuple[str, int, float], Run]:
    return {(r.system, r.batch, r.latency): r for r in runs}


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda s: s.key)
def test_every_row_says_whom_one_must_believe(system: object) -> None:
    assert dataclasses.is_dataclass(system)
    threat = system.threat  # type: ignore[attr-defined]
    assert all(getattr(threat, name) for name in ("parties", "deals", "model", "revealed"))
    text = table([system], filed(run(system=system.key)))  # type: ignore[attr-defined,list-item]
    for words in dataclasses.astuple(threat):
        assert words in text


@pytest.mark.parametrize("system", [s for s in SYSTEMS if not s.ours], ids=lambda s: s.key)
def test_every_peer_has_a_program_and_pinned_packages_and_none_is_ours_to_depend_on(system: object) -> None:
    name = system.name.lower()  # type: ignore[attr-defined]
    assert (ROOT / "scripts" / "peer_programs" / f"peer_{name}.py").exists()
    packages = [*PACKAGES[name].plain, *PACKAGES[name].bare]
    assert f"{name}=={system.version}" in packages  # type: ignore[attr-defined]
    assert f'"{name}' not in (ROOT / "pyproject.toml").read_text().lower()


def test_keys_are_different() -> None:
    assert len({s.key for s in SYSTEMS}) == len(SYSTEMS)


def test_bytes_are_sorted_by_query() -> None:
    seen = Seen(bins={100: 7, 1000: 10, 1500: 20, 1900: 3, 2000: 30, 3000: 50})
    capture = Capture(sent={"P0->P1": seen, "P1->P0": Seen(bins={1001: 1, 2001: 3, 3001: 5})})
    moved = Moved.of(capture, [(1.0, 1.1), (2.0, 2.1), (3.0, 3.1)], warm=1)
    assert moved == Moved({"P0->P1": 40, "P1->P0": 4}, before=7 + 10, between=round((23 + 0) / 2))
    assert Moved.of(capture, [(1.0, 1.1)], warm=0).between is None


def test_delays_come_from_the_least_times() -> None:
    assert delays(run(online=(0.1, 0.3)), run(online=(0.9, 0.3), latency=0.02)) == pytest.approx(10)


def test_a_row_has_a_cell_a_heading_and_shows_what_was_measured() -> None:
    runs = filed(run(), run(latency=0.02, online=(0.5,)), run(batch=32, online=(64.0,), same=31))
    cells = dict(zip(HEADINGS, row(DEALT, runs), strict=True))
    assert cells["online, 1 image"] == "250 ms"
    assert cells["online, 32 (an image)"] == "64.0 s (2.00 s)"
    assert cells["32 at 20 ms"] == "-"
    assert cells["MB online, 1 image: busiest direction / all"] == "2.00 / 3.00"
    assert cells["same class"] == "1/1 31/32"
    assert cells["made ahead, a query: s, MB"] == "nothing"


def test_what_is_made_ahead_is_shown() -> None:
    cells = dict(zip(HEADINGS, row(DEALT, filed(run(offline=(0.1, 0.2, 0.3), between=1_600_000))), strict=True))
    assert cells["made ahead, a query: s, MB"] == "200 ms, 1.60"


def test_a_system_that_did_not_run_keeps_its_row_and_says_why() -> None:
    text = table([CKKS], filed(run(system=CKKS.key, failed="it has no wheel", online=())))
    assert "did not run |" in text
    assert "did not run here: it has no wheel." in text
    assert "parabolas in the place of ReLU" in text


def test_what_was_measured_is_kept_and_a_failure_is_tried_again(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "runs.json"
    good, bad = run(), run(batch=32, failed="hung", online=())
    kept = Kept(file)
    kept.put(good)
    kept.put(bad)
    again = Kept(file)
    assert again.runs == filed(good, bad)
    assert again.get((DEALT.key, 1, 0.0)) == good
    assert again.get((DEALT.key, 32, 0.0)) is None
    again.forget([DEALT.key])
    assert Kept(file).runs == {}


@pytest.mark.parametrize("content", ["", "[]", '{"format": 0, "runs": []}', '{"format": 2, "runs": [{"nonsense": 1}]}'])
def test_results_of_another_format_are_forgotten(tmp_path: Path, content: str) -> None:
    (tmp_path / "runs.json").write_text(content)
    assert Kept(tmp_path / "runs.json").runs == {}


def test_an_environment_that_is_there_is_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    packages = Packages(("nothing==1",))
    home = cache() / "nothing"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "python").touch()
    (home / "pehealth-peer.json").write_text(json.dumps(key_of(packages)))
    assert environment("nothing", packages) == home / "bin" / "python"
    assert key_of(packages) != key_of(Packages(("nothing==2",)))


@pytest.mark.parametrize("spread", [0.5, 1.0, 6.0])
def test_the_parabola_is_the_nearest_one(spread: float) -> None:
    """Held against a fit by numpy over a fine grid of the normal distribution."""
    x = np.linspace(-9, 9, 20_001) * spread
    fitted = np.polyfit(x, np.maximum(x, 0), 2, w=np.exp(-(x**2) / (4 * spread**2)))
    a, b, c = square(spread)
    assert np.allclose([a * a, 2 * a * b, b * b + c], fitted, atol=1e-6)


@pytest.fixture(scope="module")
def net() -> Net:
    model = load_model("cryptonets")
    return Net(*[array for pair in zip(model.weights, model.biases, strict=True) for array in pair])


def test_the_net_with_parabolas_is_that_with_polynomials_in_the_place_of_relu(net: Net) -> None:
    images = (np.arange(3 * 784) % 17 / 17).reshape(3, 28, 28)
    before = windows(np.pad(images, ((0, 0), (1, 1), (1, 1))).reshape(3, -1)) @ net.conv.T + net.conv_bias

    def polynomial(x: np.ndarray, like: np.ndarray) -> np.ndarray:
        a, b, c = square(float(np.sqrt(np.mean(like**2))))
        return (a * x + b) ** 2 + c

    flat = [
        f(before).transpose(0, 2, 1).reshape(3, -1) for f in (lambda x: np.maximum(x, 0), lambda x: polynomial(x, x))
    ]
    relu, bent = (x @ net.dense1.T + net.bias1 for x in flat)
    expected = polynomial(bent, relu) @ net.dense2.T + net.bias2
    assert np.allclose(Parabolas.of(net, images).plain(images), expected)


def test_the_plain_net_is_ours(net: Net) -> None:
    """Nine in ten of the test images are classified as labelled: order and meaning of the weights are ours."""
    try:
        data = load_dataset("mnist", None, training=False)
    except ConfigError:
        pytest.skip("the data set is not here")
    chosen = data.test[:200]
    classes = net.plain(data.features[chosen].reshape(-1, 28, 28)).argmax(axis=1)
    assert (classes == data.labels[chosen]).mean() > 0.9
