"""Who learns what, engine by engine, in words for a reader: the table of every report and of the README."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pehealth.config import Engine

SHAPES = "shapes and kinds of the layers, and when messages flow"
"""What every party sees of every run."""

REVEALED = {
    "activation_signs": "the sign of every activation",
    "pool_argmax": "which value of each max-pooling window is the greatest",
}
"""What an engine's protocol opens to E1 and E2, by the name that results carry."""


@dataclass(frozen=True)
class Knowledge:
    """What each party of an engine holds or learns, and which of them together break its privacy."""

    centre: str
    dealer: str
    servers: str
    sensor: str
    broken_by: tuple[str, ...]

    def rows(self) -> tuple[tuple[str, str], ...]:
        """Return (party, what it knows), in the order of a run."""
        return (
            ("HMS (sensor)", self.sensor),
            ("E1 and E2, each", self.servers),
            ("HC (centre)", self.centre),
            ("dealer", self.dealer),
        )


_BLIND = "never the model, the ciphertexts or the traffic between E1 and E2"
_MASKED = ("E1 with E2", "the dealer with E1 or E2")

KNOWLEDGE: Mapping[Engine, Knowledge] = {
    Engine.PAPER: Knowledge(
        centre="the model W, the key sk, the result",
        dealer="bit triples",
        servers="Enc(W), Enc(sk_j W), random-looking shares of everything else",
        sensor="its own readings x, the key sk",
        broken_by=("E1 with E2", "a sensor with E1 or E2"),
    ),
    Engine.DEALT: Knowledge(
        centre="the model W, the result",
        dealer="the model W, masks R, masks of the gates",
        servers="a share of W, random-looking shares of everything else",
        sensor="its own readings x",
        broken_by=_MASKED,
    ),
    Engine.RLWE: Knowledge(
        centre="the model W, the key s, the result",
        dealer=f"the key s, masks R, masks of the gates; {_BLIND}",
        servers="Enc_s(W), a share of W, random-looking shares of everything else",
        sensor="its own readings x",
        broken_by=_MASKED,
    ),
    Engine.DDH: Knowledge(
        centre="the model W, the key sk, the result",
        dealer=f"the key sk, masks R, masks of the gates; {_BLIND}",
        servers="Enc(W), a share of sk, random-looking shares of everything else",
        sensor="its own readings x",
        broken_by=_MASKED,
    ),
}


def revealed(reveals: tuple[str, ...]) -> str:
    """Return what the servers learn by the protocol itself, as a phrase; "nothing" where they learn nothing."""
    return " and ".join(REVEALED.get(name, name) for name in reveals) or "nothing"
