"""The steps of a run in words: errors say "online 2.relu step 3", not "layer 2"."""

from __future__ import annotations

from pehealth.nets.describe import Network
from transport.interfaces import Describe, Phase, Tag

KEYS = "keys"
MATERIAL = "material"


def step_names(network: Network) -> Describe:
    """Return what says in words which step of this network a tag is; every party can, since shapes are public."""
    layers = {placed.index: placed.name for placed in network.placed}
    end = len(layers) + 1
    names = {
        Phase.CONTROL: layers,
        Phase.SETUP: {**layers, 0: KEYS},
        Phase.OFFLINE: {**layers, 0: MATERIAL},
        Phase.ONLINE: {**layers, 0: "0.input", end: f"{end}.output"},
    }

    def describe(tag: Tag, query: int) -> str:
        name = names[tag.phase].get(tag.layer, f"layer {tag.layer}")
        step = f" step {tag.step}" if tag.step else ""
        return f"{tag.phase.name.lower()} {name}{step}{f' of query {query}' if query else ''}"

    return describe


class Whereabouts:
    """Where a party is: a layer of each phase of each query that it works on.

    Args:
        describe: says in words what a tag is.
    """

    def __init__(self, describe: Describe) -> None:
        self._describe = describe
        self._layers: dict[tuple[Phase, int], int] = {}

    def enter(self, phase: Phase, query: int, layer: int) -> None:
        """Note that the party is at a layer of a phase of a query now."""
        self._layers[phase, query] = layer

    def leave(self, phase: Phase, query: int) -> None:
        """Note that the party is through with a phase of a query."""
        self._layers.pop((phase, query), None)

    def __str__(self) -> str:
        """What goes after "E1 was": "at online 2.relu of query 1"."""
        places = [self._describe(Tag(phase, layer), query) for (phase, query), layer in self._layers.items()]
        return f"at {' and '.join(places)}" if places else "waiting for an order"
