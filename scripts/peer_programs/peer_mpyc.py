"""MPyC: three parties, honest majority, Shamir sharing, fixed-point numbers. variant: "LENGTH:FRACTION" in bits."""

from __future__ import annotations

import importlib.metadata
import sys
import time

import numpy as np
from peer_common import IMAGE_OWNER, MAPS, MODEL_OWNER, Floats, Job, Measured, Net, Query, pad, window_index

job = Job.read()
# MPyC reads the command line when it is imported.
sys.argv = [sys.argv[0], "--no-log", "-I", str(job.rank), *(word for a in job.addresses for word in ("-P", a))]
from mpyc.runtime import mpc  # noqa: E402

LENGTH, FRACTION = (int(bits) for bits in job.variant.split(":"))
fixed = mpc.SecFxp(LENGTH, FRACTION)


def secret(array: Floats) -> object:
    """Return a party's own array, to be shared. Parties that hold zeros in its place must not take it for integers."""
    return fixed.array(array, integral=False)


def relu(x: object) -> object:
    """Return max(x, 0)."""
    return (x > 0) * x  # type: ignore[operator]


def infer(shared: dict[str, object], images: object, batch: int) -> object:
    """Return the shared logits."""
    index = window_index()
    x = images[:, index.reshape(-1)].reshape(batch * len(index), -1)  # type: ignore[index]
    maps = relu(x @ shared["conv"].T + shared["conv_bias"])  # type: ignore[attr-defined]
    hidden = maps.reshape(batch, len(index), MAPS).swapaxes(1, 2).reshape(batch, -1)  # type: ignore[attr-defined]
    hidden = relu(hidden @ shared["dense1"].T + shared["bias1"])  # type: ignore[attr-defined]
    return hidden @ shared["dense2"].T + shared["bias2"]  # type: ignore[attr-defined]


async def main() -> None:
    """Share the model, then infer as often as told."""
    net, images = job.net(), pad(job.batch())
    measured = Measured(versions={"mpyc": importlib.metadata.version("mpyc"), "numpy": np.__version__})
    began = time.monotonic()
    await mpc.start()
    shared = await share(net)
    measured.setup = time.monotonic() - began
    for _ in range(job.queries):
        await mpc.barrier()
        began = time.monotonic()
        x = mpc.input(secret(images), senders=IMAGE_OWNER)
        logits = await mpc.output(infer(shared, x, len(images)))
        measured.queries.append(Query(began, time.monotonic()))
    measured.logits = np.asarray(logits, float).tolist()
    await mpc.shutdown()
    job.leave(measured)


async def share(net: Net) -> dict[str, object]:
    """Share the model and wait for the shares."""
    shared = {name: mpc.input(secret(a), senders=MODEL_OWNER) for name, a in vars(net).items()}
    for array in shared.values():
        await mpc.gather(array)
    return shared


mpc.run(main())
