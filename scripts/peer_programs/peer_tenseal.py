"""TenSEAL: CKKS. Another problem: rank 0 knows the model and computes on rank 1's encrypted image; one image a query.

CKKS has no ReLU, so this is another network: `peer_common.Parabolas` of the trained one, from the job's images.
"""

from __future__ import annotations

import importlib.metadata
import socket
import struct
import time

import numpy as np
import tenseal as ts
from peer_common import IMAGE_OWNER, KERNEL, MAPS, Floats, Job, Measured, Net, Parabolas, Query, pad, window_index

DEGREE = 16_384
LEVELS = [60, 40, 40, 40, 40, 40, 40, 60]
"""Bits of the primes, 360 of the 438 that 128 bits of security allow at this degree: each product takes one of 40."""
SCALE = 2**40
LOGITS = 10


def late(array: Floats, axis: int) -> Floats:
    """Return an array that begins with as many zeros along an axis as there are logits.

    TenSEAL's product with a matrix reads on beyond the vector's end, as if it began there again, which it does not
    once a bias was added to it. So what is read twice is made zero: the first places, one for each column.
    """
    return np.concatenate([np.zeros_like(array.take(range(LOGITS), axis=axis)), array], axis=axis)


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
    net = Parabolas.of(net, np.load(job.images)).net
    pipe = Pipe(job)
    context = ts.context_from(pipe.receive())
    for _ in range(job.queries):
        x = ts.ckks_vector_from(context, pipe.receive())
        kernels = net.conv.reshape(MAPS, KERNEL, KERNEL)
        count = len(window_index())
        maps = [x.conv2d_im2col(k.tolist(), count) + float(b) for k, b in zip(kernels, net.conv_bias, strict=True)]
        hidden = ts.CKKSVector.pack_vectors(maps)
        hidden.square_()
        hidden = hidden.mm(late(net.dense1.T, axis=1).tolist()) + late(net.bias1, axis=0).tolist()
        hidden.square_()
        logits = hidden.mm(late(net.dense2.T, axis=0).tolist()) + net.bias2.tolist()
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
