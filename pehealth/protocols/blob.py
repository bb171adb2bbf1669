"""Long payloads whose size both ends know: a model, a query's material. Sent in chunks, one way."""

from __future__ import annotations

from pehealth.protocols.context import receive, send
from pehealth.protocols.cost import HEADER_BYTES, Cost
from transport.interfaces import Endpoint, Phase, Tag
from transport.meter import Traffic

CHUNK_BYTES = 16 * 2**20


def chunk_sizes(size: int) -> list[int]:
    """Return the payload of each message that `size` bytes are sent in; nothing is one empty message."""
    whole, rest = divmod(size, CHUNK_BYTES)
    return [CHUNK_BYTES] * whole + ([rest] if rest or not whole else [])


def blob_cost(sender: str, receiver: str, size: int) -> Cost:
    """Cost of sending `size` bytes one way: no server round, one step deep."""
    count = len(chunk_sizes(size))
    return Cost({(sender, receiver): Traffic(size, count * HEADER_BYTES, count)}, depth=1)


async def send_blob(link: Endpoint, phase: Phase, layer: int, blob: bytes) -> None:
    """Send `blob` under the tags (phase, layer, 0...)."""
    view, at = memoryview(blob), 0
    for step, size in enumerate(chunk_sizes(len(blob))):
        await send(link, Tag(phase, layer, step), view[at : at + size])
        at += size


async def receive_blob(link: Endpoint, phase: Phase, layer: int, size: int) -> bytes:
    """Take a blob of exactly `size` bytes; errors as `receive`."""
    parts = [await receive(link, Tag(phase, layer, step), n) for step, n in enumerate(chunk_sizes(size))]
    return parts[0] if len(parts) == 1 else b"".join(parts)
