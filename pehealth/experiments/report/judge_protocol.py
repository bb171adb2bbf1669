"""Verdicts on what the protocol does and reveals: claims 2 to 17, 22, 28 and 31 to 33."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pehealth.config import Engine, GroupName
from pehealth.crypto.groups import group
from pehealth.engines import paper_codec
from pehealth.experiments.report.evidence import Evidence
from pehealth.experiments.report.findings import Finding, either, straight, surprising
from pehealth.experiments.report.parts import MissingPart, Result
from pehealth.nets.describe import MaxPool
from pehealth.nets.plan_literal import has_key_bits, model_size
from pehealth.nets.zoo import reference

STRAIGHT = 0.999
"""R^2 from which a growth counts as linear."""
SIGMAS = 5.0
"""A count further than this many standard deviations from its prediction refutes it."""
MOSTLY = 0.5
FLAT = 1.05
"""Greatest over least from which a cost counts as growing."""


def silent_layers(*kinds: str) -> Callable[[Evidence], Finding]:
    """Return the judge of "these layers send nothing": claims 2, 3 and 4."""

    def judge(evidence: Evidence) -> Finding:
        layers = list(evidence.layers(*kinds))
        sent, rounds = sum(e["between"] for e in layers), sum(e["rounds"] for e in layers)
        nets = sorted({e["net"] for e in layers})
        groups = sorted({e["group"] for e in layers})
        ours = (
            f"{sent} B, {rounds} rounds between the servers in {len(layers)} layers of runs of "
            f"{', '.join(nets)} on {', '.join(groups)}"
        )
        return either(ours, sent == 0 and rounds == 0, "secure run")

    return judge


def pool_count(evidence: Evidence) -> Finding:
    """Claim 5: size - 1 comparisons a window."""
    layers = list(evidence.layers("maxpool"))
    right, shown = True, set()
    for layer in layers:
        placed = next(p for p in reference(layer["net"]).network.placed if p.name == layer["name"])
        size = placed.layer.size if isinstance(placed.layer, MaxPool) else 0
        counted = layer["ops"]["seccmp"] / 2 / layer["batch"]  # both servers count
        right &= counted == placed.outputs * (size - 1)
        shown.add(f"{layer['net']}: {counted:g} SecCmp for {placed.outputs} windows of {size}")
    return either("; ".join(sorted(shown)), right, "secure run")


def relu_count(evidence: Evidence) -> Finding:
    """Claim 6: one comparison an element."""
    layers = list(evidence.layers("relu"))
    counts = [(e["ops"]["seccmp"] / 2 / e["batch"], elements(e)) for e in layers]
    ours = f"{sum(c for c, _ in counts):g} SecCmp for {sum(n for _, n in counts):g} elements in {len(layers)} layers"
    return either(ours, all(c == n for c, n in counts), "secure run")


def elements(layer: Result) -> int:
    """Return the outputs of a layer of a reference network."""
    return next(p.outputs for p in reference(layer["net"]).network.placed if p.name == layer["name"])


def growth_relus(evidence: Evidence) -> list[Result]:
    """Return the ReLU of the same network at each width of the ring."""
    runs = [evidence.run(spec) for spec in evidence.suite.growth]
    return [
        {**layer, "ring": run["ring"], "net": run["net"]}
        for run in runs
        for layer in run["layers"]
        if layer["kind"] == "relu"
    ]


def relu_bytes(evidence: Evidence) -> Finding:
    """Claim 7: bytes linear in elements and in l."""
    grown = growth_relus(evidence)
    bits = [8 * e["between"] / 2 / elements(e) for e in grown]
    slope, _, fit = straight([e["ring"] for e in grown], bits)
    relus = [e for e in evidence.layers("relu") if e["ring"] == 32]
    _, _, along = straight([elements(e) for e in relus], [e["between"] for e in relus])
    words = ", ".join(f"{b:.4g} at l = {e['ring']}" for e, b in zip(grown, bits, strict=True))
    ours = (
        f"bits an element and server: {words} (slope {slope:.3g}, R^2 {fit:.5f}); against 5 counts of elements "
        f"R^2 {along:.5f}"
    )
    return either(ours, fit >= STRAIGHT and along >= STRAIGHT, "secure run")


def relu_gates(evidence: Evidence) -> Finding:
    """Claim 12: multiplications linear in l."""
    grown = growth_relus(evidence)
    gates = [e["ops"]["and_gates"] / 2 / elements(e) for e in grown]
    slope, _, fit = straight([e["ring"] for e in grown], gates)
    words = ", ".join(f"{g:g} at l = {e['ring']}" for e, g in zip(grown, gates, strict=True))
    return either(f"ANDs an element: {words} (slope {slope:.3g}, R^2 {fit:.5f})", fit >= STRAIGHT, "secure run")


def four_shares(evidence: Evidence) -> Finding:
    """Claim 8: four shares a reading, O(l) bits."""
    widths, exact, words = [], True, []
    for run in evidence.literal_runs():
        readings = reference(run["net"]).network.inputs * run["batch"]
        grp = group(GroupName(run["group"]))
        sent = [run["links"]["online"][f"HMS1->{server}"] / readings for server in ("E1", "E2")]
        exact &= sent == [paper_codec.x_bytes(grp) + paper_codec.skx_bytes(grp)] * 2
        if (grp.key_bits, sent[0]) not in widths:
            widths.append((grp.key_bits, sent[0]))
            words.append(f"{grp.name}: {sent[0]:g} B to each server")
    ours = f"{'; '.join(words)}; x', sx' to E1 and x'', sx'' to E2"
    return either(ours, exact, "secure run")


def sensor_words(evidence: Evidence) -> Finding:
    """Claim 9: a constant number of calls to the generator a reading."""
    rows = evidence.parts["sensor"]["rows"]
    each = [row["words_a_reading"] for row in rows]
    words = ", ".join(
        f"{e:.4g} words for each of {row['readings']:,} readings" for e, row in zip(each, rows, strict=True)
    )
    return either(words, max(each) / min(each) < FLAT, "local")


def exponentiations(*kinds: str) -> Callable[[Evidence], Finding]:
    """Return the judge of "O(1) exponentiations and O(m n k Theta) steps": claims 10 and 11."""

    def judge(evidence: Evidence) -> Finding:
        layers = {(e["net"], e["name"], e["group"]): e for e in evidence.layers(*kinds) if e["group"] == "toy32"}
        counts = [e["ops"]["exponentiations"] / 2 / e["batch"] for e in layers.values()]
        rows = evidence.parts["walks toy32"]["rows"]
        _, _, fit = straight([2.0 ** row["walk"] for row in rows], [row["mean_steps"] for row in rows])
        ours = (
            f"{min(counts):,.0f} to {max(counts):,.0f} exponentiations a layer and server, 2 (1 + l) a term of "
            "every dot product; "
            f"steps against the walk's scale 2^w: R^2 {fit:.5f}"
        )
        return either(ours, max(counts) / min(counts) < FLAT and fit >= STRAIGHT, "secure run", "local")

    return judge


def identity(what: str, *, walked: bool = True) -> Callable[[Evidence], Finding]:
    """Return the judge of an identity, in the toy group and in one of real size: claims 13 and 15.

    What was `walked` to may be wrong as often as predicted.
    """

    def judge(evidence: Evidence) -> Finding:
        found = [evidence.parts["equations toy32"], evidence.big("equations")]
        words = [f"{e[what]} of {e['outputs']} outputs on {e['group']}" for e in found]
        toy, real = (not surprising(e["outputs"] - e[what], e["expected_wrong"] if walked else 0.0) for e in found)
        return Finding("; ".join(words), toy, real, ("local",))

    return judge


def shares_add(evidence: Evidence) -> Finding:
    """Claim 14: shares add to w x + b, up to the conversion's error rate."""
    sums = identity("shares_add_up")(evidence)
    found = [evidence.parts["conversions toy32"], evidence.big("conversions")]
    words = [
        (
            f"{e['group']}, w = {e['walk']}: {e['wrong']:,} of {e['conversions']:,} conversions wrong, "
            f"{e['predicted']:.0f} predicted"
        )
        for e in found
    ]
    toy, real = (abs(e["deviation"]) <= SIGMAS for e in found)
    return Finding(f"{sums.ours}; {'; '.join(words)}", toy and sums.toy, real and sums.real, ("local",))


def ciphertexts(evidence: Evidence) -> Finding:
    """Claim 16: 1 + l ciphertexts a weight, the bias as shares."""
    words, right = [], True
    for run in evidence.literal_runs():
        network, grp = reference(run["net"]).network, group(GroupName(run["group"]))
        wanted = sum(model_size(network, placed, grp) for placed in network.linear_layers)
        right &= run["links"]["setup"]["HC->E1"] == run["links"]["setup"]["HC->E2"] == wanted
        rows = sum(
            p.linear.weight_shape[0] * p.linear.weight_shape[1]
            for p in network.linear_layers
            if has_key_bits(network, p)
        )
        word = f"{grp.name}: {1 + grp.key_bits} ciphertexts a weight"
        if word not in words and rows:
            words.append(word)
    ours = (
        f"{'; '.join(words)} of every layer but the last, which makes no key-bit conversions and ships 1; "
        "set-up bytes as computed from that"
    )
    return either(ours, right, "secure run")


def fixed_point(evidence: Evidence) -> Finding:
    """Claim 17: the worked example."""
    found = evidence.parts["fixed point"]
    ours = (
        f"1.23 at d = 1 is {found['encoded']} mod {found['modulus']}; 12 * 5 = {found['product']} at scale "
        f"{found['product_scale']} is {found['product_value']:g}"
    )
    return either(ours, found["encoded"] == 12 and found["product_value"] == 1.2 * 0.5, "local")


def exact_layers(evidence: Evidence) -> Finding:
    """Claim 22: ReLU and pooling add no error; mean pooling as the text has it, by an inverse mod q."""
    through = right_runs(evidence)
    samples, exact = sum(r["samples"] for r in through), sum(r["exact"] for r in through)
    found = evidence.parts["mean pooling"]
    share = found["undivided"] / found["windows"]
    ours = (
        f"through ReLU, max pooling and summing, {exact} of {samples} secure samples equal the oracle in every "
        "integer; mean pooling "
        f"as printed, by the inverse of {found['size']} mod q: {share:.0%} of {found['windows']:,} windows do "
        "not divide and "
        f"decode to something else, by up to {found['worst']:.3g}"
    )
    return either(ours, exact > 0 and found["undivided"] == 0, "secure run", "emulation")


def right_runs(evidence: Evidence) -> list[Result]:
    """Return the runs with --walk right.

    Raises:
        MissingPart: none is done.
    """
    runs = [evidence.run(spec) for spec in evidence.suite.right.values() if spec.name in evidence.parts]
    if not runs:
        raise MissingPart("no run with --walk right is done")
    return runs


def where_time_goes(evidence: Evidence) -> Finding:
    """Claim 28: conversion dominates linear layers, SecCmp the others."""
    toy, real = evidence.parts["profile toy32"], evidence.big("profile")
    relu = evidence.parts["profile relu"]["seccmp_share"]
    words = [f"{e['conversion_share']:.0%} on {e['group']} (w = {e['walk']})" for e in (toy, real)]
    ours = f"conversion's share of a 25-term layer: {', '.join(words)}; SecCmp's share of SecReLU: {relu:.0%}"
    fine = relu > MOSTLY
    return Finding(
        ours, fine and toy["conversion_share"] > MOSTLY, fine and real["conversion_share"] > MOSTLY, ("local",)
    )


def recovery(evidence: Evidence) -> Finding:
    """Claim 31: adding two shares gives the logits."""
    runs = right_runs(evidence)
    samples, exact = sum(r["samples"] for r in runs), sum(r["exact"] for r in runs)
    wrong = sum(r["expected"].get("wrong_conversions", 0.0) * r["samples"] for r in runs)
    ours = (
        f"{exact} of {samples} samples equal the oracle in every integer ({wrong:.2g} wrong conversions "
        "predicted in all)"
    )
    return either(ours, not surprising(samples - exact, wrong), "secure run")


def simulatable(evidence: Evidence) -> Finding:
    """Claim 32: a server's view is simulatable: shares uniform, no bit opened."""
    shares = evidence.parts["shares"]
    uniform = all(value <= shares["limit"] for value in shares["chi_squared"].values())
    shown = sorted({name for run in evidence.literal_runs() for name in run["reveals"]})
    masked = [
        evidence.parts[s.name] for s in evidence.suite.runs if s.engine is not Engine.PAPER and s.name in evidence.parts
    ]
    others = sorted({name for run in masked for name in run["reveals"]})
    values = ", ".join(f"{v:.0f}" for v in shares["chi_squared"].values())
    ours = (
        f"a reading's share: chi-squared over 255 degrees of freedom {values} (limit {shares['limit']:.0f}); "
        "engine paper opens: "
        f"{', '.join(shown) or 'nothing'}; engines dealt and rlwe open: {', '.join(others) or 'nothing'}"
    )
    return either(ours, uniform and not shown, "secure run", "local")


def model_hidden(evidence: Evidence) -> Finding:
    """Claim 33: nothing of the model but kinds and places of layers is known."""
    found = evidence.parts["attack toy32"]
    public = ", ".join(found["public_shape"])
    ours = (
        f"toy32: one server alone read {found['read']:,} of {found['weights']:,} weights of {found['net']} in "
        f"{found['seconds']:.2g} s; "
        f"in any group the servers know besides kinds and places: {public}"
    )
    finding = either(ours, not found["public_shape"], "local")
    return replace(finding, toy=finding.toy and found["read"] == 0)
