"""CrypTen: two parties, additive sharing, Beaver triples. variant: "ttp", "ttp-cached" or "tfp".

ttp: a third process deals triples on request. ttp-cached: it deals them before the query. tfp: CrypTen's default, in
which party 0 makes the triples of both and so could read everything: no privacy.
"""

from __future__ import annotations

import importlib.metadata
import os
import sys
import time
import types

import torch
from peer_common import IMAGE_OWNER, MODEL_OWNER, Job, Measured, Query

try:
    import torch.onnx._internal.registration
except ImportError:  # newer than what crypten 0.4.1 was made for; only its ONNX import would use this
    stub = types.ModuleType("torch.onnx._internal.registration")
    stub.registry = None  # type: ignore[attr-defined]
    sys.modules[stub.__name__] = stub

import crypten
import crypten.communicator
import crypten.mpc
from crypten.config import cfg

PARTIES = 2


def main() -> None:
    """Be one of the two parties, or the dealer."""
    job = Job.read()
    torch.set_num_threads(1)
    os.environ.update(
        WORLD_SIZE=str(PARTIES), RANK=str(job.rank), RENDEZVOUS=f"tcp://{job.addresses[0]}",
        DISTRIBUTED_BACKEND="gloo", GLOO_SOCKET_IFNAME=job.device,
    )  # fmt: skip
    cfg.mpc.provider = "TFP" if job.variant == "tfp" else "TTP"
    cfg.communicator.verbose = True
    if job.rank == PARTIES:
        crypten.mpc.provider.TTPServer()
        return
    measured = Measured(versions={name: importlib.metadata.version(name) for name in ("crypten", "torch")})
    began = time.monotonic()
    crypten.init()
    net = {k: crypten.cryptensor(torch.tensor(v), src=MODEL_OWNER) for k, v in vars(job.net()).items()}
    net["conv"] = net["conv"].view(-1, 1, 5, 5)
    communicator = crypten.communicator.get()
    communicator.barrier()
    measured.setup = time.monotonic() - began
    images = torch.tensor(job.batch()).unsqueeze(1)
    provider = crypten.mpc.get_default_provider()
    for _ in range(job.queries):
        offline = 0.0
        if job.variant == "ttp-cached":
            offline = fill(provider, net, images)
        communicator.barrier()
        communicator.reset_communication_stats()
        began = time.monotonic()
        logits = infer(net, crypten.cryptensor(images, src=IMAGE_OWNER)).get_plain_text()
        measured.queries.append(Query(began, time.monotonic(), offline))
    measured.rounds = communicator.get_communication_stats()["rounds"]
    measured.logits = logits.tolist()
    job.leave(measured)
    crypten.uninit()


def infer(net: dict[str, object], x: object) -> object:
    """Return the shared logits."""
    maps = x.conv2d(net["conv"], stride=2, padding=1) + net["conv_bias"].view(1, -1, 1, 1)  # type: ignore[attr-defined]
    hidden = maps.relu().view(len(x), -1)  # type: ignore[arg-type]
    hidden = (hidden.matmul(net["dense1"].t()) + net["bias1"]).relu()  # type: ignore[attr-defined]
    return hidden.matmul(net["dense2"].t()) + net["bias2"]  # type: ignore[attr-defined]


def fill(provider: object, net: dict[str, object], images: torch.Tensor) -> float:
    """Have the triples of one query dealt; return how long that took. A rehearsal tells which they are."""
    provider.trace(True)  # type: ignore[attr-defined]
    infer(net, crypten.cryptensor(images, src=IMAGE_OWNER))
    provider.trace(False)  # type: ignore[attr-defined]
    crypten.communicator.get().barrier()
    began = time.monotonic()
    provider.fill_cache()  # type: ignore[attr-defined]
    provider.request_cache.clear()  # type: ignore[attr-defined]
    return time.monotonic() - began


if __name__ == "__main__":
    main()
