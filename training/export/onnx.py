"""From a trained VAE to the files of a bundle: ONNX graphs, golden outputs, calibration."""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import ArrayLike
from safetensors.torch import save
from torch import Tensor, nn

from training.errors import ExportError
from training.evaluation.evaluate import Evaluation
from training.export import gate
from training.export.golden import GOLDEN_ROWS, gate_inputs, golden
from training.export.graph_modules import MODULES
from vae.bundle import to_npz
from vae.graphs import Graph
from vae.manifest import FileName
from vae.networks import VAE
from vae.parity import magnitudes

EXAMPLE_ROWS = 3
"""The exporter takes a batch of 0 or 1 for a constant."""

NOISY_LOGGERS = ("torch", "torch.onnx", "torch.export", "onnxscript", "onnx_ir")


def export(
    vae: VAE, held_out: Tensor, evaluation: Evaluation, seed: int, c: Tensor | None = None
) -> dict[FileName, bytes]:
    """The required files of a bundle, through the gate.

    ``vae`` is on the CPU; ``held_out`` is (rows, *shape) in units of the data, c its conditions.
    Raises ExportError, naming the graph, when one does not do what torch does.
    """
    settled = vae.eval().settled()
    inputs = gate_inputs(settled, held_out, seed, c)
    sizes = magnitudes(vae.spec)
    first = None if c is None else c[:GOLDEN_ROWS]
    graphs: dict[FileName, bytes] = {
        graph.file: export_graph(graph, MODULES[graph.name](settled), inputs, sizes)
        for graph in vae.spec.graphs
    }
    return {
        "checkpoint.safetensors": save(vae.state_dict()),
        **graphs,
        "golden.npz": golden(settled.given(first), held_out[:GOLDEN_ROWS].float(), seed, first),
        "calibration.npz": to_npz({"elbo": np.sort(evaluation.scores)}),
    }


def export_graph(
    graph: Graph,
    module: nn.Module,
    inputs: Mapping[str, Tensor],
    sizes: Mapping[str, ArrayLike],
) -> bytes:
    """The bytes of the graph's ONNX file, checked. ``inputs`` and ``sizes`` are for gate.check."""
    module.eval()
    batch = torch.export.Dim("batch")
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                module,
                tuple(inputs[name][:EXAMPLE_ROWS] for name in graph.inputs),
                dynamo=True,
                external_data=False,
                input_names=list(graph.inputs),
                output_names=list(graph.outputs),
                dynamic_shapes=tuple({0: batch} for _ in graph.inputs),
                verbose=False,
            )
    except Exception as error:
        reason = " ".join(str(error).split())
        raise ExportError(f"{graph.name}: torch cannot export it: {reason:.300}") from error
    if program is None:
        raise AssertionError("torch.onnx.export with dynamo gave no program. This is a bug.")
    content: bytes = program.model_proto.SerializeToString()
    gate.check(graph, content, module, inputs, sizes)
    return content


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter's remarks on its own packages are not for the user of a model."""
    levels = {name: logging.getLogger(name).level for name in NOISY_LOGGERS}
    for name in NOISY_LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
