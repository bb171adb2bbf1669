"""TenSEAL: CKKS. Another problem: rank 0 knows the model and computes on rank 1's encrypted image; one image a query.

CKKS has no ReLU. It is replaced by the parabola nearest to it, in the mean of squares, over a normal distribution with
the spread that the layer's values have on the images of the job.
"""

from __future__ import annotations

import importlib.metadata
import math
import socket
import struct
import time

import numpy as np
import tenseal as ts
from peer_common import IMAGE_OWNER, KERNEL, MAPS, Job, Measured, Net, Query, pad, window_index, windows

DEGREE = 16_384
LEVELS = [60, 40, 40, 40, 40, 40, 40, 40, 60]
SCALE = 2**40


def parabola(spread: float) -> list[float]:
    """Return [c0, c1, c2] of the least-squares parabola to ReLU under a normal distribution of this spread."""
    return [spread / math.sqrt(8 * math.pi), 0.5, 1 / (spread * math.sqrt(8 * math.pi))]


def spreads(net: Net, images: np.ndarray) -> tuple[float, float]:
    """Return the root mean square of what enters the two activations."""
    first = windows(pad(images)) @ net.conv.T + net.conv_bias
    hidden = np.maximum(first, 0).transpose(0, 2, 1).reshape(len(images), -1) @ net.dense1.T + net.bias1
    return math.sqrt(np.mean(first**2)), math.sqrt(np.mean(hidden**2))


class Pipe:
    """Byte strings over TCP."""

    def __init__(self, job: Job) -> None:
        host, port = job.hosts[0], job.port
        if job.rank == IMAGE_OWNER:
            self._socket = self._call(host, port)
        else:
            with socket.create_server((host, port)) as server:
                self._socket = server.accept()[0]
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @staticmethod
    def _call(host: str, port: int) -> socket.socket:
        for _ in range(600):
            try:
                return socket.create_connection((host, port))
            except OSError:
                time.sleep(0.1)
        raise TimeoutError(f"nobody listens at {host}:{port}")

    def send(self, data: bytes) -> None:
        """Send a byte string."""
        self._socket.sendall(struct.pack(">Q", len(data)) + data)

    def receive(self) -> bytes:
        """Return the next byte string."""
        (size,) = struct.unpack(">Q", self._exactly(8))
        return self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            piece = self._socket.recv(min(size - len(parts), 2**20))
            if not piece:
                raise EOFError("the other side has gone")
            parts += piece
        return bytes(parts)


def serve(job: Job) -> None:
    """Be the server, who has the model in the clear."""
    net = Net.load(job.weights)
    first, second = (parabola(s) for s in spreads(net, np.load(job.images)))
    pipe = Pipe(job)
    context = ts.context_from(pipe.receive())
    for _ in range(job.queries):
        x = ts.ckks_vector_from(context, pipe.receive())
        kernels = net.conv.reshape(MAPS, KERNEL, KERNEL)
        count = len(window_index())
        maps = [x.conv2d_im2col(k.tolist(), count) + float(b) for k, b in zip(kernels, net.conv_bias, strict=True)]
        hidden = ts.CKKSVector.pack_vectors(maps).polyval(first)
        hidden = (hidden.mm(net.dense1.T.tolist()) + net.bias1.tolist()).polyval(second)
        logits = hidden.mm(net.dense2.T.tolist()) + net.bias2.tolist()
        pipe.send(logits.serialize())
    job.leave(Measured())


def ask(job: Job) -> None:
    """Be the client, who owns image and keys."""
    measured = Measured(versions={"tenseal": importlib.metadata.version("tenseal"), "numpy": np.__version__})
    image = job.batch()[0]
    began = time.monotonic()
    context = ts.context(ts.SCHEME_TYPE.CKKS, DEGREE, coeff_mod_bit_sizes=LEVELS)
    context.global_scale = SCALE
    context.generate_galois_keys()
    pipe = Pipe(job)
    pipe.send(context.serialize(save_secret_key=False))
    measured.setup = time.monotonic() - began
    padded = pad(image[None]).reshape(30, 30)
    for _ in range(job.queries):
        began = time.monotonic()
        encrypted, _ = ts.im2col_encoding(context, padded.tolist(), KERNEL, KERNEL, 2)
        pipe.send(encrypted.serialize())
        logits = ts.ckks_vector_from(context, pipe.receive()).decrypt()
        measured.queries.append(Query(began, time.monotonic()))
    measured.logits = [logits]
    job.leave(measured)


if __name__ == "__main__":
    this = Job.read()
    (ask if this.rank == IMAGE_OWNER else serve)(this)
