"""Write tests/vectors/onnx/*.onnx: ten small networks as torch exports them, and three that cannot be imported.

    python -m pip install torch onnx onnxscript
    python scripts/make_onnx_vectors.py [FOLDER]

Weights are torch's own initial ones, seeded, and batch normalisation has seen a few random batches: nothing is trained,
the files are there to be imported, not to diagnose. Half of them come from the newer of torch's two exporters, half
from the older one, since both are in use. `dropout_softmax` gets the nodes put in that torch leaves out.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import onnx
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

OUT = Path(__file__).parent.parent / "tests" / "vectors" / "onnx"


class Residual(nn.Module):
    """Two convolutions and what they are added to, projected where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv1d(inputs, outputs, 5, stride, 2, bias=False),
            nn.BatchNorm1d(outputs),
            nn.ReLU(),
            nn.Conv1d(outputs, outputs, 5, 1, 2, bias=False),
            nn.BatchNorm1d(outputs),
        )
        same = stride == 1 and inputs == outputs
        self.way = nn.Identity() if same else nn.Conv1d(inputs, outputs, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return relu(main(x) + way(x))."""
        return F.relu(self.main(x) + self.way(x))


def ecg_residual() -> nn.Module:
    """A residual 1-D CNN for windows of an electrocardiogram: one lead, 128 samples, 5 classes."""
    stem = (nn.Conv1d(1, 8, 7, 2, 3, bias=False), nn.BatchNorm1d(8), nn.ReLU())
    blocks = (Residual(8, 8, 1), Residual(8, 12, 2), Residual(12, 12, 1))
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(12, 5))


def lenet5() -> nn.Module:
    """LeNet-5 with ReLU: 61,706 parameters, 28 x 28 pixels padded to 32 x 32."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def mlp_bn() -> nn.Module:
    """A dense network with batch normalisation before and after the ReLU."""
    return nn.Sequential(
        nn.BatchNorm1d(30), nn.Linear(30, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Linear(24, 16), nn.ReLU(),
        nn.BatchNorm1d(16), nn.Linear(16, 2),
    )  # fmt: skip


def cnn_bn_gap() -> nn.Module:
    """Convolutions with batch normalisation, the second of them depthwise, and a global average."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=8, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 12, 1), nn.BatchNorm2d(12), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 4),
    )  # fmt: skip


def avgpool() -> nn.Module:
    """Average pools, one of them with padding that is counted."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(4, 6, 3), nn.ReLU(), nn.AvgPool2d(3, 2, 1),
        nn.Flatten(), nn.Linear(6 * 4 * 4, 3),
    )  # fmt: skip


def maxpool() -> nn.Module:
    """Max pools that overlap and are padded, after the ReLU and before it."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 5, stride=2, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2, 1), nn.Conv2d(4, 6, 3, padding=1),
        nn.MaxPool2d(2, ceil_mode=True), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 3 * 3, 3),
    )  # fmt: skip


def dropout_softmax() -> nn.Module:
    """A dense network that ends in probabilities."""
    return nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 4), nn.Softmax(dim=1))


class Moved(nn.Module):
    """Channels last, a padding that is not the same on both sides, a transpose before the last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.dense = nn.Conv2d(2, 4, 3), nn.Linear(4 * 8 * 8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take (batch, 8, 8, 2)."""
        x = F.relu(self.conv(F.pad(x.permute(0, 3, 1, 2), (2, 0, 0, 2))))
        return self.dense(x.permute(0, 2, 3, 1).reshape(-1, 4 * 8 * 8))


def clip_leaky() -> nn.Module:
    """ReLU6, LeakyReLU and a clip that is not at 0, as mobile networks have them; weights so large that all clip."""
    network = nn.Sequential(
        nn.Conv1d(2, 4, 5, padding=2), nn.ReLU6(), nn.Conv1d(4, 4, 3, stride=2), nn.LeakyReLU(0.01),
        nn.Conv1d(4, 6, 3, stride=2), nn.Hardtanh(-1.0, 1.0), nn.Flatten(), nn.Linear(42, 3),
    )  # fmt: skip
    with torch.no_grad():
        network[0].weight.mul_(12.0)
        network[4].weight.mul_(3.0)
    return network


class Strided(nn.Module):
    """1-D convolutions with stride, dilation and groups; a dense layer over positions; one over everything."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(1, 6, 7, stride=3)
        self.second = nn.Conv1d(6, 4, 3, dilation=2, groups=2)
        self.each, self.last = nn.Linear(4, 5), nn.Linear(5 * 14, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take (batch, 1, 60)."""
        x = F.relu(self.second(F.relu(self.first(x)))).transpose(1, 2)
        return self.last(F.relu(self.each(x)).flatten(1))


class Recurrent(nn.Module):
    """An LSTM and a gate: both unsupported."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.dense = nn.LSTM(4, 6, batch_first=True), nn.Linear(6, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take (batch, 10, 4)."""
        out, _ = self.lstm(x)
        return self.dense(torch.sigmoid(out[:, -1]))


def upsampled() -> nn.Module:
    """A transposed convolution and tanh: both unsupported."""
    return nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.Tanh(), nn.ConvTranspose2d(2, 2, 2, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(288, 2)
    )


def transformer_like() -> nn.Module:
    """Layer normalisation, GELU and SiLU: all unsupported."""
    return nn.Sequential(nn.Linear(16, 16), nn.LayerNorm(16), nn.GELU(), nn.Linear(16, 16), nn.SiLU(), nn.Linear(16, 2))


Shape = tuple[int, ...]
NETWORKS: dict[str, tuple[Callable[[], nn.Module], Shape, bool]] = {
    "ecg_residual": (ecg_residual, (1, 128), True),
    "lenet5": (lenet5, (1, 28, 28), False),
    "mlp_bn": (mlp_bn, (30,), False),
    "cnn_bn_gap": (cnn_bn_gap, (3, 16, 16), False),
    "avgpool": (avgpool, (1, 20, 20), True),
    "maxpool": (maxpool, (1, 20, 20), False),
    "dropout_softmax": (dropout_softmax, (12,), False),
    "moved": (Moved, (8, 8, 2), False),
    "clip_leaky": (clip_leaky, (2, 32), False),
    "strided": (Strided, (1, 60), True),
    "unsupported_recurrent": (Recurrent, (10, 4), False),
    "unsupported_upsampled": (upsampled, (1, 8, 8), True),
    "unsupported_transformer": (transformer_like, (16,), False),
}
"""Network, shape of a sample, and whether torch's newer exporter makes the file."""


def warm(network: nn.Module, shape: Shape) -> None:
    """Let batch normalisation see a few batches, and give it weights that are not one and nought."""
    network.train()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.3, 0.3)
        for _ in range(20):
            network(torch.rand(64, *shape))
    network.eval()  # and the older exporter is told to leave batch normalisation where it is


def put_in(path: Path) -> None:
    """Put a Dropout behind the first ReLU and an Identity behind that, as a file from elsewhere may have them."""
    model = onnx.load(path)
    nodes = list(model.graph.node)
    at = next(i for i, node in enumerate(nodes) if node.op_type == "Relu")
    behind = nodes[at].output[0]
    extra = [
        onnx.helper.make_node("Dropout", [behind], ["dropped"], name="/dropout"),
        onnx.helper.make_node("Identity", ["dropped"], ["same"], name="/identity"),
    ]
    for node in nodes[at + 1 :]:
        for i, name in enumerate(node.input):
            if name == behind:
                node.input[i] = "same"
    del model.graph.node[:]
    model.graph.node.extend([*nodes[: at + 1], *extra, *nodes[at + 1 :]])
    onnx.checker.check_model(model)
    onnx.save(model, path)


def main() -> None:
    """Write every file and say how large it is."""
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else OUT
    out.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")  # the older exporter says that it is old
    for seed, (name, (make, shape, newer)) in enumerate(NETWORKS.items()):
        torch.manual_seed(seed)
        network, path = make(), out / f"{name}.onnx"
        warm(network, shape)
        example = (torch.rand(2, *shape),)
        if newer:
            batch = torch.export.Dim("batch", min=1, max=1024)
            program = torch.onnx.export(network, example, dynamo=True, dynamic_shapes=({0: batch},), verbose=False)
            model = program.model_proto
            for node in model.graph.node:  # where in the source each came from: nobody reads it, and it is most bytes
                del node.metadata_props[:]
            del model.graph.metadata_props[:]
            onnx.save(model, path)
        else:
            axes = {"input": {0: "batch"}, "output": {0: "batch"}}
            torch.onnx.export(
                network, example, path, dynamo=False, opset_version=17, input_names=["input"],
                output_names=["output"], dynamic_axes=axes, training=torch.onnx.TrainingMode.PRESERVE,
            )  # fmt: skip
        if name == "dropout_softmax":
            put_in(path)
        print(f"{name:24} {path.stat().st_size:8,} bytes")


if __name__ == "__main__":
    main()
