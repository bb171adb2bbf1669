"""What is compared: each system's packages, parties and protocol, and what one must believe to use it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

OURS = "pehealth"
Engine = Literal["dealt", "rlwe", "paper"]


@dataclass(frozen=True)
class Threat:
    """Against whom a row protects: figures of rows that differ in this are figures of different problems.

    Attributes:
        parties: how many compute or deal, the owners of model and image included if they take part.
        deals: who makes the triples, keys or masks, and what that party could do.
        model: from whom the model is hidden.
        revealed: what is opened, and to whom.
        warning: why nobody should use it as it is; "" if there is no such reason.
    """

    parties: str
    deals: str
    model: str
    revealed: str
    warning: str = ""


@dataclass(frozen=True)
class Packages:
    """What a peer's environment is made of.

    Attributes:
        plain: for `pip install`, pinned to what the program was tried with.
        bare: installed after those, without what they themselves ask for.
    """

    plain: tuple[str, ...]
    bare: tuple[str, ...] = ()


@dataclass(frozen=True)
class System:
    """One row of the table.

    Attributes:
        name, version: of the system; its environment and program bear the name in small letters.
        variant: the protocol among its own.
        label: the variant in words.
        ranks: processes, each in a namespace of its own.
        threat: see `Threat`.
        counted: queries that count, by batch, after one that warms up; a batch that is not there is not run.
        warm: queries that warm up first, by batch; 1 unless named.
        network: what its network differs in from `cryptonets`; "" if in nothing.
    """

    name: str
    version: str
    variant: str
    label: str
    ranks: int
    threat: Threat
    counted: tuple[tuple[int, int], ...] = ((1, 4), (32, 2))
    warm: tuple[tuple[int, int], ...] = ()
    network: str = ""

    @property
    def key(self) -> str:
        """Return what names it among results and on the command line."""
        return f"{self.name.lower()}-{self.variant.replace(':', '.')}"

    @property
    def ours(self) -> bool:
        """True if it is an engine of this project."""
        return self.name == OURS


PACKAGES = {
    "mpyc": Packages(("mpyc==0.11", "numpy==2.4.6", "gmpy2==2.3.2")),
    # crypten asks for the retired name `sklearn`, and for libraries that its core does without
    "crypten": Packages(
        ("torch==2.13.0", "numpy==2.4.6", "omegaconf", "pyyaml", "onnx", "pandas"), ("crypten==0.4.1",)
    ),
    "spu": Packages(("spu==0.9.5",)),
    "tenseal": Packages(("tenseal==0.3.18", "numpy==2.4.6")),
}

_TWO_SERVERS = "E1, E2; HC and a sensor own model and image"
_HIDDEN = "both servers and the sensor"
_SHARED = "every party but its owner"
_TO_ALL = "logits, to every party"

SYSTEMS = (
    System(OURS, "", "dealt", "engine `dealt`", 4, Threat(
        _TWO_SERVERS, "HC or a dealer, ahead; with one server it could read all", _HIDDEN, "logits, to HC alone")),
    System(OURS, "", "rlwe", "engine `rlwe` (default)", 4, Threat(
        _TWO_SERVERS, "HC or a dealer, ahead; with one server it could read all",
        _HIDDEN, "logits, to HC alone")),
    System(OURS, "", "paper", "engine `paper`, toy32, fast walk", 4, Threat(
        _TWO_SERVERS, "HC, bit triples; with one server it could read all", _HIDDEN,
        "signs of activations, to both servers; logits, to HC",
        "INSECURE: a 32-bit group; and most logits are wrong"), ((1, 3), (32, 1)), ((32, 0),)),
    System("MPyC", "0.11", "32:16", "Shamir, 32:16 bits", 3, Threat(
        "3", "nobody; two together read all", _SHARED, _TO_ALL), ((1, 3), (32, 1)), ((32, 0),)),
    System("MPyC", "0.11", "16:8", "Shamir, 16:8 bits", 3, Threat(
        "3", "nobody; two together read all", _SHARED, _TO_ALL), ((1, 3), (32, 1)), ((32, 0),)),
    System("CrypTen", "0.4.1", "ttp", "TTP", 3, Threat(
        "2 and a dealer", "a third process, on request, online; with one party it could read all", _SHARED, _TO_ALL),
        ((1, 3), (32, 2))),
    System("CrypTen", "0.4.1", "ttp-cached", "TTP, triples dealt ahead", 3, Threat(
        "2 and a dealer", "a third process, ahead; with one party it could read all", _SHARED, _TO_ALL)),
    System("CrypTen", "0.4.1", "tfp", "TFP (its default)", 2, Threat(
        "2", "party 0, for both", "party 1 only", _TO_ALL,
        "NOT PRIVATE: party 0 knows every triple and could read the image")),
    System("SPU", "0.9.5", "cheetah", "CHEETAH", 2, Threat(
        "2", "nobody: lattice encryption and oblivious transfer between the two", _SHARED, _TO_ALL)),
    System("SPU", "0.9.5", "aby3", "ABY3", 3, Threat("3", "nobody; two together read all", _SHARED, _TO_ALL)),
    System("SPU", "0.9.5", "semi2k", "SEMI2K (TrustedFirstParty, its default)", 2, Threat(
        "2", "party 0, for both", "party 1 only", _TO_ALL,
        "NOT PRIVATE: party 0 knows every triple and could read the image")),
    System("TenSEAL", "0.3.18", "ckks", "CKKS, one server", 2, Threat(
        "2: server and owner of the image", "nobody; the owner of the image has the key",
        "nobody: the server computes with it in the clear", "logits, to the owner of the image"),
        ((1, 1),), ((1, 0),), "parabolas in the place of ReLU; one image a query"),
)  # fmt: skip
