"""What can go wrong in the computation; what can go wrong on a link is in `transport.errors`.

A message names the party, the step, what was expected, what came, and the remedy. It never holds a share,
a key, a mask or a reading.
"""

from __future__ import annotations


class PehealthError(Exception):
    """The computation cannot go on. Catch this together with `transport.errors.TransportError`."""

    exit_code = 70


class ConfigError(PehealthError):
    """Settings that cannot work; every problem found is in `problems`, not the first alone."""

    exit_code = 2

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


class UnsupportedLayer(ConfigError):
    """Layers that this version cannot run; all of them are listed."""


class RangeError(PehealthError):
    """A reading, a weight or a proven bound does not fit the number format. Nothing wraps silently."""

    exit_code = 2


class MaterialError(PehealthError):
    """One-time material is missing, used before, of another plan, or damaged."""

    exit_code = 2


class PeerProtocolError(PehealthError):
    """A peer sent a well-framed message that is wrong: size, shape, dtype, order."""

    exit_code = 4


class PeerAborted(PehealthError):
    """A peer stopped and said why; `origin` is the party that failed first."""

    exit_code = 3

    def __init__(self, origin: str, reason: str) -> None:
        self.origin = origin
        self.reason = reason
        super().__init__(f"{origin} stopped: {reason}")


class Busy(PehealthError):
    """A party does as much as its limits allow at present: ask again a little later."""

    exit_code = 3


class Draining(PehealthError):
    """A party, or a deployment, finishes what is under way and takes nothing new."""

    exit_code = 3
