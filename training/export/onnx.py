"""Export a VAE: write its graphs as ONNX files and pass them through the export gate."""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from numpy.typing import ArrayLike
from safetensors.torch import save
from torch import Tensor, nn

from training.errors import ExportError
from training.evaluation.evaluate import Evaluation
from training.export import gate
from training.export.calibration import calibration_file
from training.export.golden import GOLDEN_ROWS, gate_inputs, golden_file
from training.export.graph_modules import MODULES
from vae.graphs import Graph
from vae.manifest import FileName
from vae.networks import VAE
from vae.relative_error import output_magnitudes

EXAMPLE_ROWS = 3
"""Rows of the example inputs. The exporter treats a batch size of 0 or 1 as a constant."""

NOISY_LOGGERS = ("torch", "torch.onnx", "torch.export", "onnxscript", "onnx_ir")


def export_files(
    vae: VAE, held_out: Tensor, evaluation: Evaluation, seed: int, c: Tensor | None = None
) -> dict[FileName, bytes]:
    """The weights, graphs, golden outputs and calibration of a bundle, by file name.

    ``vae`` is on the CPU; ``held_out`` is (rows, *shape) in units of the data, c its conditions.
    Raises ExportError, with the graph's name, if a graph does not compute what torch computes.
    """
    frozen = vae.eval().frozen()
    inputs = gate_inputs(frozen, held_out, seed, c)
    sizes = output_magnitudes(vae.spec)
    golden_c = None if c is None else c[:GOLDEN_ROWS]
    golden_x = held_out[:GOLDEN_ROWS].float()
    graphs: dict[FileName, bytes] = {
        graph.file: export_graph(graph, MODULES[graph.name](frozen), inputs, sizes)
        for graph in vae.spec.graphs
    }
    return {
        "checkpoint.safetensors": save(vae.state_dict()),
        **graphs,
        "golden.npz": golden_file(frozen.conditioned_on(golden_c), golden_x, seed, golden_c),
        "calibration.npz": calibration_file(evaluation.scores),
    }


def export_graph(
    graph: Graph,
    module: nn.Module,
    inputs: Mapping[str, Tensor],
    sizes: Mapping[str, ArrayLike],
) -> bytes:
    """The content of the graph's ONNX file, which has passed ``gate.check_graph``.

    ``inputs`` and ``sizes`` are those of ``gate.check_graph``. Raises ExportError if torch cannot
    export the module or if the gate rejects the graph.
    """
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
        raise AssertionError("torch.onnx.export with dynamo returned no program. This is a bug.")
    content: bytes = program.model_proto.SerializeToString()
    gate.check_graph(graph, content, module, inputs, sizes)
    return content


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the exporter's warnings about its own packages."""
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
