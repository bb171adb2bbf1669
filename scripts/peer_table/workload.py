"""The network, its weights and the images that every system gets: `cryptonets`, and the start of its test set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from peer_programs.peer_common import SIDE, Floats, Net, Parabolas

from pehealth.data.catalog import load as load_dataset
from pehealth.nets.zoo import load_model

NAME = "cryptonets"
BATCHES = (1, 32)


@dataclass(frozen=True, eq=False)
class Workload:
    """The network and its images (batch, 28, 28), of which smaller batches are the start."""

    net: Net
    images: Floats

    @classmethod
    def load(cls, data_dir: Path | None) -> Workload:
        """Return the project's own model and test images. Raises ConfigError if the data set is not here."""
        model = load_model(NAME)
        arrays = [array for pair in zip(model.weights, model.biases, strict=True) for array in pair]
        data = load_dataset(model.dataset, data_dir, training=False)
        images = data.features[data.test[: max(BATCHES)]].reshape(-1, SIDE, SIDE)
        return cls(Net(*arrays), images)

    def save(self, folder: Path) -> dict[str, str]:
        """Write weights and images; return the files as a job names them: `weights`, and `images` by batch."""
        np.savez(folder / "weights.npz", **vars(self.net))
        files = {"weights": str(folder / "weights.npz")}
        for batch in BATCHES:
            np.save(folder / f"images{batch}.npy", self.images[:batch])
            files[f"images{batch}"] = str(folder / f"images{batch}.npy")
        return files

    def compare(self, logits: Floats) -> tuple[float, int]:
        """Return the largest difference from the plain logits, and how many classes are the same."""
        plain = self.net.plain(self.images[: len(logits)])
        return float(np.abs(logits - plain).max()), int((logits.argmax(axis=1) == plain.argmax(axis=1)).sum())

    def own_error(self, logits: Floats) -> float:
        """Return the largest difference from the plain logits of the network with parabolas."""
        plain = Parabolas.of(self.net, self.images).plain(self.images[: len(logits)])
        return float(np.abs(logits - plain).max())
