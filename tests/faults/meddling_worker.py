"""A party as a process that sends a wrong message in a layer: PEHEALTH_TEST_MEDDLE names it and the fault."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

from parties import worker
from parties.worker_io import run
from transport.framing import Frame, Kind
from transport.interfaces import Phase, Tag
from transport.meddling import Cut, MeddlingCarrier, Piece

RELU = Tag(Phase.ONLINE, 2)
FAULTS = {
    "short": lambda frame: [frame._replace(payload=frame.payload[:-1])],
    "cut": lambda frame: [Cut(frame, 25)],
}


def meddle(peer: str, frame: Frame) -> Iterable[Piece]:
    hit = peer == "E1" and frame.kind is Kind.DATA and Tag.unpack(frame.tag) == RELU
    return FAULTS[fault](frame) if hit else [frame]


if __name__ == "__main__":
    party, fault = os.environ["PEHEALTH_TEST_MEDDLE"].split(":")
    if sys.argv[1] == party:
        real = worker.carrier_of
        worker.carrier_of = lambda start: MeddlingCarrier(real(start), meddle)
    run(worker.main)
