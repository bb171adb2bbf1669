"""What the paper prints [PEH20]: its Tables I to IV, and what it quotes of others. Nothing here is measured."""

from __future__ import annotations

from dataclasses import dataclass

NETS = ("postop-a", "postop-b", "wearable-c", "wearable-d", "mnist-e", "mnist-f")
LETTERS = dict(zip(NETS, "abcdef", strict=True))
BATCH = 4096
"""Images of CryptoNets' batch, and of Table II."""
PIXELS = 784
MIB = float(1 << 20)
"""The paper's MB: 24.5 of them are 8 bytes a pixel of 4096 images."""


@dataclass(frozen=True)
class Quoted:
    """A row of Table I or III as printed: seconds, MB and per cent; None where the paper has a dash."""

    system: str
    seconds: float
    megabytes: float | None
    accuracy: float


TABLE_1 = (Quoted("CryptoNets", 297.5, 372.2, 98.95), Quoted("PE-HEALTH", 0.86, 0.035, 98.95))
TABLE_3 = (
    Quoted("SecureML", 4.88, None, 93.1),
    Quoted("MiniONN", 9.32, 657.5, 99.0),
    Quoted("Chameleon", 2.24, 10.5, 99.0),
    Quoted("PE-HEALTH", 1.02, 0.014, 99.0),
)


@dataclass(frozen=True)
class Ends:
    """A row of Table II: seconds and MB of sensor and centre for 4096 images."""

    system: str
    encrypt: float
    decrypt: float
    upload: float
    result: float


TABLE_2 = (Ends("CryptoNets", 609.748, 52.152, 367.5, 4.7), Ends("PE-HEALTH", 0.64, 0.053, 24.5, 0.16))

KINDS = ("convolution", "ReLU", "max pooling", "mean pooling", "fully connected")
KIND_OF = {
    "conv1d": "convolution",
    "conv2d": "convolution",
    "relu": "ReLU",
    "maxpool": "max pooling",
    "meanpool": "mean pooling",
    "dense": "fully connected",
}
TABLE_4: dict[str, dict[str, float]] = {
    "postop-a": {"ReLU": 0.52, "max pooling": 0.78, "fully connected": 60.3},
    "postop-b": {"convolution": 26.64, "ReLU": 0.36, "fully connected": 3.28},
    "wearable-c": {"ReLU": 0.53, "max pooling": 0.77, "fully connected": 61.3},
    "wearable-d": {"convolution": 19.62, "ReLU": 0.29, "fully connected": 4.1},
    "mnist-e": {"convolution": 769.0, "ReLU": 8.24, "mean pooling": 0.35, "fully connected": 9.37},
    "mnist-f": {"convolution": 866.0, "ReLU": 10.31, "fully connected": 103.5},
}
"""Milliseconds of each kind of layer, one instance."""

POSTOP = {"postop-a": 74.28, "postop-b": 71.42}
"""Per cent, d = 4."""


def table_4_seconds(net: str) -> float:
    """Return the sum of a network's layers in seconds."""
    return sum(TABLE_4[net].values()) / 1e3
