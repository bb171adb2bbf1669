"""The walker of engine `paper`: pairs <x>, <sk*x> through a network, as Protocols 2 and 3 of the paper have it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from pehealth.config import Parameters
from pehealth.crypto.ddlog import Walk
from pehealth.crypto.linear import pool_windows
from pehealth.engines import paper
from pehealth.engines.paper import LayerModel, PairShare
from pehealth.errors import ConfigError, UnsupportedLayer
from pehealth.nets.describe import LINEAR, MaxPool, MeanPool, Network, Relu
from pehealth.protocols.context import Context
from pehealth.protocols.literal import secpool_max, secrelu
from pehealth.protocols.tape import TripleTape

Show = Callable[[int, PairShare], None]
"""Called after each layer with its index and this server's shares of the output."""
Watch = Callable[[int, float], None]
"""Called after each layer with its index and the seconds it took this server."""


def check_literal(network: Network) -> None:
    """Check that engine `paper` can run this network: a chain of the paper's layers.

    Raises:
        UnsupportedLayer: the first layer needs a comparison: the sensors' shares are uniform mod q, and SecCmp
            needs shares over the integers, which a linear layer's share conversion gives; or there are layers that the
            paper has not, all of which are named; or the last layer is not linear.
    """
    others = [p.name for p in network.placed if not isinstance(p.layer, (*LINEAR, Relu, MaxPool, MeanPool))]
    if others or not network.is_chain:
        raise UnsupportedLayer(
            f"engine paper: {network.name} has layers that the paper has not: {', '.join(others)}; "
            "take engine dealt or rlwe"
        )
    first, last = network.placed[0], network.placed[-1]
    for which, placed in (("first", first), ("last", last)):
        if not isinstance(placed.layer, LINEAR):
            raise UnsupportedLayer(
                f"engine paper: {placed.name} is the {which} layer; it must be dense or a convolution"
            )


async def run_literal(
    ctx: Context,
    network: Network,
    models: Sequence[LayerModel],
    pair: PairShare,
    tape: TripleTape,
    now: Callable[[], float],
    watch: Watch,
    show: Show,
) -> PairShare:
    """Return this server's shares of the logits.

    Protocol:   linear layers and mean pooling are plain functions that get no channel; SecReLU and max pooling
                compare and open the bit
    Shapes:     pair (batch, inputs) -> x (batch, classes); skx of the result is None
    Scale:      10^d -> that of `scale_steps(network, d, literal)`: nothing rescales
    Cost:       `plan_literal`
    Error:      a conversion of value v fails with probability about |v| / 2^(w+1) and is then off by an arbitrary
                amount, unnoticed; else none
    Leaks:      activation signs and places of maxima, to E1 and E2
    Reference:  [PEH20] Protocols 2 and 3, repaired as `engines.paper` says
    """
    layers = iter(models)
    walk = literal_walk(ctx.parameters)
    for placed in network.placed:
        began = now()
        here, layer = ctx.at(placed.index), placed.layer
        if isinstance(layer, LINEAR):
            label = ("query", ctx.query, placed.index)
            pair, ops = await ctx.compute(
                paper.linear, placed.linear, next(layers), pair, walk, ctx.common, label, ctx.party
            )
            here.count(**dataclasses.asdict(ops))
        elif isinstance(layer, Relu):
            pair = await secrelu(here, pair, tape)
        elif isinstance(layer, MaxPool):
            pair = await secpool_max(here, pair, pool_windows(placed.in_shape, layer.window, layer.steps), tape)
        elif isinstance(layer, MeanPool):
            pair = paper.pool_sum(pair, placed.in_shape, layer.window, layer.steps)
        watch(placed.index, now() - began)
        show(placed.index, pair)
    return pair


def literal_walk(parameters: Parameters) -> Walk:
    """Return the walk that the settings name.

    Raises:
        ConfigError: they name none.
    """
    if parameters.walk is None or parameters.cap is None:
        raise ConfigError("engine paper needs a walk and a cap in its settings")
    return Walk(parameters.walk, parameters.cap)
