"""What engine `ddh` costs: `python scripts/bench_ddh.py table` and `... measure --net clinic`.

`table` forecasts, for every network, group, digits and failure target, the processor seconds of one server for one
image, from a calibration and the values that samples give. `measure` runs the linear layers of some samples for both
servers, one after the other, and prints processor seconds and failures beside the forecast. The figures of
docs/ddh.md come from here. Data sets are found as everywhere: PEHEALTH_DATA.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass

import numpy as np

from parties.settle_ddh import DEFAULT_DIGITS, SAMPLES, WORD_BITS, measure_pace
from pehealth.config import GroupName
from pehealth.crypto.groups import ModpGroup, group
from pehealth.crypto.prg import Prg
from pehealth.data.catalog import load as load_dataset
from pehealth.engines.ddh import DdhEngine
from pehealth.engines.ddh_plan import SplitPlan
from pehealth.engines.interface import from_ring, ring_mask, to_ring
from pehealth.engines.workers import Workers
from pehealth.errors import RangeError
from pehealth.nets.bounds import ring_bits, value_bounds
from pehealth.nets.choose_splits import Forecast, Layer, Pace, choose, forecast, layers_of, options
from pehealth.nets.scales import Arithmetic
from pehealth.nets.weights import QuantizedModel
from pehealth.nets.zoo import load_model

NETS = ("postop-a", "postop-b", "wearable-c", "wearable-d", "mnist-e", "mnist-f", "clinic", "cryptonets")
TARGETS = (("1 %", 0.01), ("2^-10", 2.0**-10), ("2^-20", 2.0**-20))
GROUPS = (GroupName.MODP2048, GroupName.MODP3072)


@dataclass(frozen=True)
class Case:
    """A network in integers, its ring, and what samples put into its linear layers."""

    model: QuantizedModel
    ring: int
    layers: list[Layer]


def load_case(net: str, digits: int, samples: int, *, test: bool = False) -> Case:
    """Return a network with training samples, or test samples, in its layers."""
    model = load_model(net)
    data = load_dataset(model.dataset, None, training=False)
    quantised = model.quantise(digits, Arithmetic.MASKED)
    ring = -(-ring_bits(value_bounds(quantised)) // WORD_BITS) * WORD_BITS
    chosen = (data.test if test or not len(data.train) else data.train)[:samples]
    return Case(quantised, ring, layers_of(quantised, quantised.encode_input(data.features[chosen])))


def planned(case: Case, grp: ModpGroup, pace: Pace, target: float) -> tuple[SplitPlan, Forecast]:
    """Return the plan for a target, and its forecast."""
    plan = choose(options(case.layers, case.ring, grp.key_bits, 1), pace, target)
    return plan, forecast(case.layers, plan, case.ring, grp.key_bits, 1, pace)


def table(nets: tuple[str, ...], digits: tuple[int, ...]) -> None:
    """Print a line for each network, group and digits: seconds for each target, exponentiation + conversion."""
    paces = {name: measure_pace(_modp(name)) for name in GROUPS}
    for name, pace in paces.items():
        print(f"{name}: {pace.product * 1e6:.2f} us a product, {pace.long * 1e9:.3f} ns a step,", end=" ")
        print(f"{pace.short * 1e9:.3f} ns in short walks, {pace.jump * 1e6:.2f} us a jump")
    print("| network | d | group | " + " | ".join(name for name, _ in TARGETS) + " | splits at 1 % |")
    print("|---" * (4 + len(TARGETS)) + "|")
    for net in nets:
        for d in digits:
            case = load_case(net, d, SAMPLES)
            for name in GROUPS:
                cells, splits = [], "-"
                for label, target in TARGETS:
                    try:
                        plan, told = planned(case, _modp(name), paces[name], target)
                    except RangeError:
                        cells.append("out of reach")
                        continue
                    splits = str(plan) if label == TARGETS[0][0] else splits
                    cells.append(f"{_short(told.exponentiation)} + {_short(told.conversion)}")
                print(f"| {net} | {d} | {name} | {' | '.join(cells)} | {splits} |", flush=True)


def measure(net: str, digits: int, name: GroupName, target: float, samples: int) -> None:
    """Print processor seconds and failures of some test samples, beside the forecast."""
    grp, case = _modp(name), load_case(net, digits, SAMPLES)
    pace = measure_pace(grp)
    plan, told = planned(case, grp, pace, target)
    engine = DdhEngine(case.ring, name, plan)
    tried = load_case(net, digits, samples, test=True).layers
    there = forecast(tried, plan, case.ring, grp.key_bits, 1, pace)
    seconds, wrong, outputs, size = {"exponentiation": 0.0, "conversion": 0.0}, 0, 0, 0
    for layer in tried:
        trial = Trial(engine, layer)
        size += trial.model_bytes
        for at in range(samples):
            for kind, spent in trial.run(at).items():
                seconds[kind] += spent / samples
        wrong, outputs = wrong + trial.wrong, outputs + trial.outputs
    print(f"{net} d={digits} {name} target {target:.3g}: {plan}")
    print(f"  forecast {told.exponentiation:.3g} s + {told.conversion:.3g} s, {told.wrong:.3g} wrong a query")
    print(f"  measured {seconds['exponentiation']:.3g} s + {seconds['conversion']:.3g} s of processor time a server")
    print(
        f"  {wrong} of {outputs} outputs wrong in {samples} samples; {there.wrong * samples:.3g} conversions by the law"
    )
    print(f"  ciphertexts at each server {size:,} bytes")


class Trial:
    """One linear layer at both servers."""

    def __init__(self, engine: DdhEngine, layer: Layer) -> None:
        self.engine, self.layer = engine, layer
        self.rng, self.wrong, self.outputs = Prg.system(), 0, 0
        bias = np.zeros(layer.geometry.out_channels, np.int64)
        key = engine.keygen(self.rng)
        halves = engine.encrypt(layer.geometry, layer.weights, bias, key, self.rng)
        self.models = [engine.load(layer.geometry, half) for half in halves]
        self.secret = engine.load_secret(layer.geometry, engine.secret(layer.geometry, layer.weights, key))
        self.model_bytes = engine.cost(layer.geometry).model[0]

    def run(self, at: int) -> dict[str, float]:
        """Run a sample; return E1's processor seconds."""
        engine, geometry, ring = self.engine, self.layer.geometry, self.engine.ring
        y, seed1 = self.layer.inputs[at : at + 1], Prg(self.rng.key())
        mask = self.rng.ring(y.shape, ring)
        materials = engine.expand(geometry, 1, seed1), engine.deal(geometry, mask, self.secret, seed1)
        opened, common = (to_ring(y, ring) + mask) & ring_mask(ring), self.rng.key()
        pairs = zip(self.models, materials, strict=True)
        ready = [engine.prepare(geometry, model, material, Prg(common)) for model, material in pairs]
        worked = [engine.work(geometry, opened, each, Workers(), _silent) for each in ready]
        z = from_ring((worked[0].share + worked[1].share) & ring_mask(ring), ring)
        self.wrong += int((z != geometry.apply(self.layer.weights, y)).sum())
        self.outputs += z.size
        return dict(worked[0].processor)


def _silent(_what: str, _done: int, _of: int) -> None:
    """Report to nobody."""


def _modp(name: GroupName) -> ModpGroup:
    grp = group(name)
    if not isinstance(grp, ModpGroup):
        sys.exit(f"{name} is no group of real size")
    return grp


def _short(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "h")):
        if seconds >= 2 * size:
            return f"{seconds / size:.2g} {unit}"
    return f"{seconds:.2g} s" if seconds < 100 else f"{seconds:,.0f} s"


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    forecasts = commands.add_parser("table", help="forecasts for every network")
    forecasts.add_argument("--nets", nargs="+", default=list(NETS))
    forecasts.add_argument("--digits", nargs="+", type=int, default=[1, 2, 3, 4])
    measured = commands.add_parser("measure", help="run some samples")
    measured.add_argument("--net", default="clinic")
    measured.add_argument("--digits", type=int, default=DEFAULT_DIGITS)
    measured.add_argument("--group", type=GroupName, default=GroupName.MODP3072)
    measured.add_argument("--failures", type=float, default=0.01)
    measured.add_argument("--samples", type=int, default=3)
    args = parser.parse_args()
    if args.command == "table":
        table(tuple(args.nets), tuple(args.digits))
    else:
        measure(args.net, args.digits, args.group, args.failures, args.samples)


if __name__ == "__main__":
    main()
