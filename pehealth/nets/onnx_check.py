"""What onnxruntime makes of a file, for the import to be held against."""

from __future__ import annotations

import numpy as np

from pehealth.data.ranges import Floats
from pehealth.errors import ConfigError
from pehealth.nets.onnx_graph import EXTRA, Graph

AGREEMENT = 1e-4
"""The greatest difference of an output, relative to the greatest |output|: onnxruntime computes in float32."""
SILENT = 3


def onnxruntime_outputs(graph: Graph, readings: Floats) -> Floats:
    """Return the outputs (batch, classes) of a file for raw readings (batch, inputs), by onnxruntime.

    Raises:
        ConfigError: onnxruntime is not installed, or refuses the file.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ConfigError(EXTRA) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, SILENT
    try:
        session = onnxruntime.InferenceSession(graph.model, options, providers=["CPUExecutionProvider"])
        name, kind = session.get_inputs()[0].name, session.get_inputs()[0].type
        dtype = {"tensor(float16)": np.float16, "tensor(double)": np.float64}.get(kind, np.float32)
        rows = [session.run(None, {name: one.reshape(1, *graph.input_shape).astype(dtype)})[0] for one in readings]
    except Exception as error:
        raise ConfigError(f"onnxruntime cannot run the file: {str(error).partition(chr(10))[0]}") from error
    return np.array([np.asarray(row, np.float64).reshape(-1) for row in rows])


def greatest_difference(ours: Floats, theirs: Floats, what: str) -> float:
    """Return the greatest difference of an output.

    Raises:
        ConfigError: it is more than float32 explains, so the import is wrong.
    """
    if ours.shape != theirs.shape:
        raise ConfigError(f"{what}: onnxruntime gives outputs of shape {theirs.shape[1:]}, the import {ours.shape[1:]}")
    worst = float(np.abs(ours - theirs).max(initial=0.0))
    largest = float(np.abs(theirs).max(initial=0.0))
    if not worst <= AGREEMENT * max(1.0, largest):
        raise ConfigError(
            f"{what}: the imported network differs from onnxruntime by {worst:.3g}, where outputs reach {largest:.3g}: "
            "the import is wrong; please report it with the file"
        )
    return worst
