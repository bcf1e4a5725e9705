"""The export gate: checks that every ONNX graph must pass before a bundle is written.

Each check detects an error that an exporter makes silently: ``int(x.shape[0])`` freezes the batch
size, ``randn`` inside a graph cannot be seeded, weights in a second file can get lost, and a fused
or reordered operator can compute other numbers.
"""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import ArrayLike, NDArray
from onnx import AttributeProto, FunctionProto, GraphProto, NodeProto, TensorProto
from torch import Tensor, nn

from training.errors import ExportError
from vae.graphs import Graph
from vae.onnxruntime_no_telemetry import onnxruntime as ort
from vae.relative_error import relative_error

Array = NDArray[np.float32]

BATCH_SIZES = (1, 2, 3, 7, 64, 257)
TOLERANCE = 1e-5
"""Largest allowed difference between onnxruntime and torch, as vae.relative_error measures it.

If SLACK times the difference between torch in float32 and in float64 is larger, that is allowed:
large weights that cancel, and pixels that depend on hundreds of earlier ones, lose digits in
float32 in every engine.
"""

SLACK = 4.0

RANDOM_OPERATORS = frozenset(
    {
        "Bernoulli",
        "Multinomial",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
    }
)


def check_graph(
    graph: Graph,
    content: bytes,
    module: nn.Module,
    inputs: Mapping[str, Tensor],
    magnitudes: Mapping[str, ArrayLike],
) -> None:
    """Compare the ONNX file with the torch module that it was exported from.

    ``inputs`` are at least max(BATCH_SIZES) rows for each of ``graph.inputs``, ``magnitudes`` the
    scales of its outputs as in vae.relative_error. Raises ExportError with the graph's name and the
    reason.
    """
    session = _checked_session(graph, content)
    double = copy.deepcopy(module).double()
    for size in BATCH_SIZES:
        batch = {name: inputs[name][:size] for name in graph.inputs}
        expected = _run_torch(module, batch)
        reference = _run_torch(double, {name: rows.double() for name, rows in batch.items()})
        found = _run(graph, session, batch, size)
        for name, a, b, c in zip(graph.outputs, found, expected, reference, strict=True):
            place = f"{graph.name}: at batch size {size} {name}"
            allowed = max(TOLERANCE, SLACK * relative_error(b, c, magnitudes[name]))
            _check_close(place, a, b, magnitudes[name], allowed=allowed)


def _run_torch(module: nn.Module, batch: Mapping[str, Tensor]) -> list[NDArray[Any]]:
    with torch.inference_mode():
        outputs = module(*batch.values())
    return [output.numpy() for output in ((outputs,) if isinstance(outputs, Tensor) else outputs)]


def check_batch_invariance(
    graph: Graph,
    content: bytes,
    inputs: Mapping[str, Tensor],
    magnitudes: Mapping[str, ArrayLike],
) -> None:
    """Compare the outputs of a quantised graph in batches of different sizes with each other.

    Quantised graphs do not compute what torch computes. Arguments and errors are those of
    ``check_graph``, without the module.
    """
    session = _checked_session(graph, content)
    rows = max(BATCH_SIZES)
    whole = _run(graph, session, {name: inputs[name][:rows] for name in graph.inputs}, rows)
    for size in BATCH_SIZES:
        part = _run(graph, session, {name: inputs[name][:size] for name in graph.inputs}, size)
        for name, a, b in zip(graph.outputs, part, whole, strict=True):
            place = f"{graph.name}: {name} of a row"
            _check_close(place, a, b[:size], magnitudes[name], (f"a batch of {size}", f"of {rows}"))


def _checked_session(graph: Graph, content: bytes) -> Any:
    """Check signature, weights and operators of the file, and open a session."""
    model = onnx.load_from_string(content)
    _check_signature(graph, model.graph)
    _check_one_file(graph, model.graph)
    _check_no_random_operators(graph, model)
    return _session(graph, content)


def _check_signature(graph: Graph, found: GraphProto) -> None:
    for kind, names, values in (
        ("inputs", graph.inputs, found.input),
        ("outputs", graph.outputs, found.output),
    ):
        if names != tuple(value.name for value in values):
            raise ExportError(
                f"{graph.name}: its {kind} are {[value.name for value in values]}, "
                f"not {list(names)}"
            )
        for value in values:
            dimensions = value.type.tensor_type.shape.dim
            if not dimensions or not dimensions[0].dim_param:
                size = dimensions[0].dim_value if dimensions else "missing"
                raise ExportError(
                    f"{graph.name}: the batch dimension of {value.name} is not symbolic but {size}"
                )


def _check_one_file(graph: Graph, found: GraphProto) -> None:
    for tensor in found.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            raise ExportError(f"{graph.name}: the weights {tensor.name} are in a second file")


def _check_no_random_operators(graph: Graph, model: onnx.ModelProto) -> None:
    for part in (model.graph, *model.functions):
        for node in _nodes(part):
            if node.op_type in RANDOM_OPERATORS:
                raise ExportError(
                    f"{graph.name}: it draws random numbers ({node.op_type}); noise must be "
                    "an input"
                )


def _nodes(part: GraphProto | FunctionProto) -> Iterator[NodeProto]:
    """All nodes, including those inside If and Loop."""
    for node in part.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                yield from _nodes(attribute.g)


def _session(graph: Graph, content: bytes) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = 4  # errors are raised as exceptions
    try:
        return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ExportError(f"{graph.name}: onnxruntime cannot load it: {error}") from error


def _run(graph: Graph, session: Any, batch: Mapping[str, Tensor], size: int) -> list[Array]:
    """Run onnxruntime on a batch of ``size`` rows."""
    rows = {name: tensor.numpy() for name, tensor in batch.items()}
    try:
        found: list[Array] = session.run(list(graph.outputs), rows)
    except Exception as error:
        raise ExportError(
            f"{graph.name}: onnxruntime fails at batch size {size}: {error}"
        ) from error
    return found


def _check_close(
    place: str,
    a: Array,
    b: Array,
    magnitude: ArrayLike,
    sources: tuple[str, str] = ("onnxruntime", "torch"),
    allowed: float = TOLERANCE,
) -> None:
    one, other = sources
    if a.shape != b.shape or a.dtype != b.dtype:
        raise ExportError(
            f"{place} is {a.dtype}{list(a.shape)} in {one} and {b.dtype}{list(b.shape)} in {other}"
        )
    if not (worst := relative_error(a, b, magnitude)) <= allowed:  # also rejects NaN
        raise ExportError(
            f"{place} differs by {worst:.3g} between {one} and {other}; {allowed:.3g} is allowed"
        )
