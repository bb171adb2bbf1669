"""SPU (SecretFlow): a program in jax, run on secret shares. variant: "cheetah", "aby3" or "semi2k".

cheetah: two parties alone, homomorphic encryption and oblivious transfer. aby3: three parties, honest majority.
semi2k: two parties with the default source of triples, "TrustedFirstParty": party 0 knows all of them, no privacy.
"""

from __future__ import annotations

import importlib.metadata
import time

import jax.numpy as jnp
import numpy as np
import spu
import spu.utils.frontend
from peer_common import IMAGE_OWNER, MODEL_OWNER, Job, Measured, Net, Query, pad, windows

PROTOCOLS = {
    "cheetah": spu.ProtocolKind.CHEETAH,
    "aby3": spu.ProtocolKind.ABY3,
    "semi2k": spu.ProtocolKind.SEMI2K,
}
SECRET = spu.Visibility.VIS_SECRET
SECONDS = 1000


def forward(conv, conv_bias, dense1, bias1, dense2, bias2, x):  # noqa: ANN001, ANN201 - traced by jax
    """Return the logits of padded, flat images."""
    maps = jnp.maximum(windows(x) @ conv.T + conv_bias, 0)
    hidden = maps.transpose(0, 2, 1).reshape(len(x), -1)
    hidden = jnp.maximum(hidden @ dense1.T + bias1, 0)
    return hidden @ dense2.T + bias2


class Party:
    """One end of the link, with the runtime on it."""

    def __init__(self, job: Job) -> None:
        self.job, self.world = job, len(job.hosts)
        description = spu.link.Desc()
        description.recv_timeout_ms = 600 * SECONDS
        for rank, address in enumerate(job.addresses):
            description.add_party(f"party{rank}", address)
        config = spu.RuntimeConfig(protocol=PROTOCOLS[job.variant], field=spu.FieldType.FM64)
        self.link = spu.link.create_brpc(description, job.rank)
        self.runtime, self.io = spu.Runtime(self.link, config), spu.Io(self.world, config)

    def share(self, name: str, array: np.ndarray, owner: int) -> None:
        """Have `owner` share an array; the others give one of its shape."""
        if self.job.rank == owner:
            shares = self.io.make_shares(array, SECRET)
            for rank, share in enumerate(shares):
                if rank != owner:
                    self._give(rank, share)
            mine = shares[owner]
        else:
            mine = self._take(owner, self.io.get_share_chunk_count(array, SECRET))
        self.runtime.set_var(name, mine)

    def open(self, name: str) -> np.ndarray:
        """Return a value to everyone."""
        mine = self.runtime.get_var(name)
        others = [rank for rank in range(self.world) if rank != self.job.rank]
        for rank in others:
            self._give(rank, mine)
        shares = {rank: self._take(rank, len(mine.share_chunks)) for rank in others} | {self.job.rank: mine}
        return np.asarray(self.io.reconstruct([shares[rank] for rank in range(self.world)]))

    def _give(self, rank: int, share: spu.libspu.Share) -> None:
        """Send a share; `all_gather` would take its bytes for text."""
        for part in (share.meta, *share.share_chunks):
            self.link.send_async(rank, part)

    def _take(self, rank: int, chunks: int) -> spu.libspu.Share:
        share = spu.libspu.Share()
        share.meta = self.link.recv(rank)
        share.share_chunks = [self.link.recv(rank) for _ in range(chunks)]
        return share


def compiled(arrays: dict[str, np.ndarray]) -> spu.Executable:
    """Return the program for arrays of these shapes."""
    executable, _ = spu.utils.frontend.compile(
        spu.utils.frontend.Kind.JAX, forward, list(arrays.values()), {}, list(arrays), [SECRET] * len(arrays),
        lambda flat: [f"out{i}" for i in range(len(flat))],
    )  # fmt: skip
    return executable


def main() -> None:
    """Share the model, then infer as often as told."""
    job = Job.read()
    images = pad(job.batch()).astype(np.float32)
    net = {name: array.astype(np.float32) for name, array in vars(job.net()).items()}
    program = compiled({**net, "x": images})
    measured = Measured(versions={name: importlib.metadata.version(name) for name in ("spu", "jax", "numpy")})
    began = time.monotonic()
    party = Party(job)
    for name in Net.__annotations__:
        party.share(name, net[name], MODEL_OWNER)
    party.link.barrier()
    measured.setup = time.monotonic() - began
    for _ in range(job.queries):
        party.link.barrier()
        began = time.monotonic()
        party.share("x", images, IMAGE_OWNER)
        party.runtime.run(program)
        logits = party.open(program.output_names[0])
        measured.queries.append(Query(began, time.monotonic()))
    measured.logits = logits.tolist()
    job.leave(measured)
    party.link.stop_link()


if __name__ == "__main__":
    main()
