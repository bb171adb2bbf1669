"""Arrays, keys, gates, shares and group elements from a peer's bytes: what is taken is canonical."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fuzzing.target import Source, Target, demand
from pehealth.codec.groups import pack_elements, pack_integers, unpack_elements, unpack_integers
from pehealth.codec.limbs import element_field, integer_field, pack_limbs, pack_octets, unpack_limbs, unpack_octets
from pehealth.codec.material import Part, RecordLayout, common_layout, load_gate, second_layout
from pehealth.codec.packing import Field, Layout, pack, packed_size, unpack
from pehealth.config import GroupName, Party
from pehealth.crypto.gate_max import MaxGate
from pehealth.crypto.gate_relu import ReluGate
from pehealth.crypto.gate_rescale import RescaleGate
from pehealth.crypto.gate_select import SelectGate
from pehealth.crypto.groups import ModpGroup, group
from pehealth.crypto.linear import LinearMap
from pehealth.crypto.prg import Prg
from pehealth.engines import paper_codec
from pehealth.errors import MaterialError, PeerProtocolError

_GROUPS = (GroupName.TOY32, GroupName.MODP1536)
_GATES = (ReluGate(40, 10**4), MaxGate(33), SelectGate(32), RescaleGate(64, 10), ReluGate(8, 10))
_MOST_FILL = 2048


def run(data: bytes) -> None:
    """Choose a reader, give it bytes of the right length or of another, and pack again what comes out."""
    source = Source(data)
    _READERS[source.below(len(_READERS))](source)


def _body(source: Source, size: int) -> bytes:
    """Return the rest of the input; made as long as it should be if the input says so."""
    exact, body = source.below(4), source.rest()
    if not exact or size > _MOST_FILL:
        return body
    return (body * (size // len(body) + 1))[:size] if body else bytes(size)


def _shape(source: Source) -> tuple[int, ...]:
    return tuple(source.below(7) for _ in range(source.below(4)))


def _packing(source: Source) -> None:
    shape, bits = _shape(source), 1 + source.below(64)
    count = int(np.prod(shape))
    body = _body(source, packed_size(count, bits))
    words = unpack(body, shape, bits)
    demand(words.shape == shape and words.dtype == np.uint64, "another shape or dtype")
    demand(pack(words, bits) == body, "packed words are not canonical")
    demand(not words.size or int(words.max()) < 2**bits, "a word is too large")


def _layout(source: Source) -> None:
    fields = tuple(Field(f"f{n}", _shape(source), 1 + source.below(64)) for n in range(source.below(4)))
    layout = Layout(fields)
    body = _body(source, layout.size)
    demand(layout.pack(layout.unpack(memoryview(body))) == body, "a layout is not canonical")


def _elements(source: Source) -> None:
    grp, shape = group(_GROUPS[source.below(2)]), _shape(source)
    body = _body(source, int(np.prod(shape)) * grp.element_bytes)
    elements = unpack_elements(grp, body, shape)
    demand(elements.shape == shape and pack_elements(grp, elements) == body, "elements are not canonical")
    demand(all(0 < int(e) < grp.p for e in elements.reshape(-1)), "a number that is no element")


def _integers(source: Source) -> None:
    shape, width = _shape(source), 1 + source.below(20)
    body = _body(source, int(np.prod(shape)) * width)
    values = unpack_integers(body, shape, width)
    demand(values.shape == shape and pack_integers(values, width) == body, "integers are not canonical")


def _limbs(source: Source) -> None:
    grp = group(GroupName.MODP1536)
    if not isinstance(grp, ModpGroup):
        raise TypeError("modp1536 has elements of whole words")
    shape = (source.below(3), source.below(3))
    layout = Layout((element_field("e", grp, shape), integer_field("i", shape, source.octet())))
    body = _body(source, layout.size)
    record = layout.unpack(body)
    elements, integers = unpack_limbs(grp, record["e"]), unpack_octets(record["i"])
    words = pack_limbs(grp, elements), pack_octets(integers, layout.fields[1].shape[-1] * 8 - 1)
    demand(layout.pack({"e": words[0], "i": words[1]}) == body, "limbs are not canonical")


def _gate(source: Source) -> None:
    gate, count = _GATES[source.below(len(_GATES))], source.below(9)
    sizes = common_layout(gate, count).size, second_layout(gate, count).size
    body = _body(source, sum(sizes))
    material = load_gate(gate, count, body[: sizes[0]], memoryview(body)[sizes[0] :])
    demand(material.half.masks.shape == (gate.masks, count), "another number of gates")
    load_gate(gate, count, body[: sizes[0]], Prg(bytes(32)))


def _record(source: Source) -> None:
    parts = [Part.of_gate(f"{n}", _GATES[source.below(len(_GATES))], source.below(5)) for n in range(source.below(4))]
    layout, party = RecordLayout(tuple(parts)), (Party.E1, Party.E2)[source.below(2)]
    body = _body(source, layout.size(party))
    split = layout.split(party, body)
    taken = sum(len(p.common) + (len(p.own) if isinstance(p.own, memoryview) else 0) for p in split.values())
    demand(taken + (32 if party is Party.E1 else 0) == len(body), "bytes of a record belong to no layer")


def _shares(source: Source) -> None:
    grp, shape = group(_GROUPS[source.below(2)]), (source.below(4), source.below(5))
    body = _body(source, paper_codec.upload_bytes(grp, shape[0] * shape[1]))
    pair = paper_codec.unpack_pair(grp, body, shape)
    demand(paper_codec.pack_pair(grp, pair) == body, "shares are not canonical")


def _model(source: Source) -> None:
    grp, keybits = group(GroupName.TOY32), bool(source.below(2))
    layer = LinearMap.dense(1 + source.below(3), 1 + source.below(3))
    sizes = (
        paper_codec.ciphertext_bytes(layer, grp, keybits=keybits),
        paper_codec.bias_bytes(layer, grp, keybits=keybits),
    )
    body = _body(source, sum(sizes))
    model = paper_codec.unpack_model(layer, grp.name, body[: sizes[0]], body[sizes[0] :], keybits=keybits)
    demand(paper_codec.pack_ciphertexts(model) + paper_codec.pack_bias(model) == body, "a layer is not canonical")


_READERS: tuple[Callable[[Source], None], ...] = (
    _packing, _layout, _elements, _integers, _limbs, _gate, _record, _shares, _model,
)  # fmt: skip


def seeds() -> list[bytes]:
    """Every reader with bytes of exactly the right length, and of another."""
    chosen = bytes((3, 2, 3, 2, 16))
    fills = (bytes(40), b"\x01" * 40, bytes(range(200)), b"\xff" * 64)
    return [
        bytes((reader,)) + chosen + bytes((exact,)) + fill
        for reader in range(len(_READERS))
        for exact in (0, 1)
        for fill in fills
    ]


TARGET = Target("codec", run, (PeerProtocolError, MaterialError), seeds, most_bytes=2048)
