"""Replace the float graphs of a bundle by int8 graphs, if the ELBO stays almost the same.

Weights, with one scale per output, and activations become 8-bit integers (Jacob et al. 2018). The
scales of the activations are fixed with training rows: if they depended on the batch, the output of
a row would depend on the other rows.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.config.train_config import TrainConfig
from training.data.binarise import binarise
from training.data.dataset import TrainingSet
from training.errors import ConfigError, ExportError
from training.export import gate
from training.export.calibration import calibration_file
from training.export.golden import GOLDEN_ROWS, gate_inputs, golden_file, graph_arrays
from training.export.onnx_model import OnnxModel
from training.system.seeds import Purpose, generator
from vae.graphs import GRAPHS, Graph
from vae.manifest import FileName, ModelSpec
from vae.networks import VAE
from vae.onnxruntime_no_telemetry import quantization
from vae.relative_error import output_magnitudes

TOLERANCE = 0.005
"""Largest allowed relative change of the held-out ELBO."""

CALIBRATION_ROWS = 512
TIMED_ROWS = (1, 8, 64, 256)
TIMED_RUNS = 20

OPERATORS: Final = ("Conv", "Gemm", "MatMul")
OPTIONS: Final = {
    # Outputs of products stay float, so that mu, logvar and logits keep their precision. The next
    # layer quantises its own input.
    "OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"],
}


@dataclass(frozen=True, eq=False)
class QuantizedGraphs:
    """The ``files`` that replace those of a float bundle, and the effect.

    ``before`` and ``after`` are the mean held-out ELBOs in nats from one draw of z. ``scores`` are
    the ELBOs of the rows after quantisation. ``speedup`` is that of encoder and decoder by batch
    size.
    """

    files: dict[FileName, bytes]
    before: float
    after: float
    scores: NDArray[np.float32]
    speedup: Mapping[int, float]

    def metrics(self) -> dict[str, float]:
        """The numbers by name, for a manifest."""
        speedup = {f"int8_speedup_{rows}": ratio for rows, ratio in self.speedup.items()}
        return {"float_elbo": self.before, "int8_elbo": self.after, **speedup}

    def model_card_section(self) -> str:
        """Markdown for the model card."""
        ratios = ", ".join(f"{ratio:.1f} at {rows}" for rows, ratio in self.speedup.items())
        return (
            "## Int8\n\nThe graphs of this bundle are quantised to int8. The figures and images "
            "above are those of the float weights. With one draw of z per row the ELBO is "
            f"{self.after:.2f} nats in int8 and {self.before:.2f} nats in float. Speedup of "
            f"encoder and decoder on one thread, by rows per batch: {ratios}.\n"
        )


def check_quantizable(spec: ModelSpec) -> None:
    """Raise ConfigError for a model that cannot be quantised, before it is trained."""
    if spec.autoregression is not None:
        raise ConfigError(
            "quantize: cannot be combined with causal_radius, because the decoder computes pixel "
            "by pixel in a loop, which is not quantised"
        )
    if spec.condition is not None:
        raise ConfigError("quantize: cannot be combined with conditional")


def calibration_rows(config: TrainConfig, data: TrainingSet) -> Tensor:
    """Training rows as the model saw them, (CALIBRATION_ROWS, *shape)."""
    noise = generator(config.seed, Purpose.EXPORT, 2)
    x = data.rows.draw(CALIBRATION_ROWS, noise).x
    if config.binarise == "dynamic" and data.input.range is not None:
        x = binarise(x, data.input.range, torch.rand(x.shape, generator=noise))
    return x.float()


def quantize(
    vae: VAE, files: Mapping[FileName, bytes], train: Tensor, held_out: Tensor, seed: int
) -> QuantizedGraphs:
    """Quantise a bundle's float ``files`` and check the result.

    ``vae`` is on the CPU. ``train`` are training rows, which determine the scales; the check uses
    ``held_out``. Raises ExportError if a graph cannot be quantised, if the output of a row depends
    on its batch, or if the mean ELBO changes by more than TOLERANCE.
    """
    frozen = vae.eval().frozen()
    scale_inputs = _scale_inputs(frozen, train, seed)
    inputs, sizes = gate_inputs(frozen, held_out, seed), output_magnitudes(vae.spec)
    graphs: dict[FileName, bytes] = {
        graph.file: quantize_graph(graph, files[graph.file], scale_inputs) for graph in GRAPHS
    }
    for graph in GRAPHS:
        gate.check_batch_invariance(graph, graphs[graph.file], inputs, sizes)
    plain, int8 = OnnxModel(frozen, files), OnnxModel(frozen, graphs)
    scores = int8.elbo(held_out, seed)
    before = float(plain.elbo(held_out, seed).double().mean())
    after = float(scores.double().mean())
    _check_elbo(before, after)
    elbo = scores.numpy()
    arrays: dict[FileName, bytes] = {
        "golden.npz": golden_file(int8, held_out[:GOLDEN_ROWS].float(), seed),
        "calibration.npz": calibration_file(elbo),
    }
    return QuantizedGraphs({**graphs, **arrays}, before, after, elbo, speedup(plain, int8, inputs))


def quantize_graph(graph: Graph, content: bytes, inputs: Mapping[str, Tensor]) -> bytes:
    """The graph with int8 products and convolutions, with scales for ``inputs``.

    Raises ExportError if onnxruntime cannot quantise it or finds nothing to quantise.
    """
    tools = quantization()
    model = onnx.load_from_string(content)
    del model.graph.value_info[
        :
    ]  # the exporter's names of the batch dimension contradict those that are inferred
    with TemporaryDirectory() as folder:
        plain, folded, target = (Path(folder, name) for name in ("plain", "folded", "int8"))
        onnx.save(model, plain)
        try:
            tools.quant_pre_process(plain, folded, skip_symbolic_shape=True)
            tools.quantize_static(
                folded,
                target,
                _CalibrationReader(graph, inputs),
                quant_format=tools.QuantFormat.QDQ,
                activation_type=tools.QuantType.QUInt8,
                weight_type=tools.QuantType.QInt8,
                per_channel=True,
                # 7 bits: CPUs without VNNI add two products in 16 bits, and 8 bits would overflow.
                reduce_range=True,
                op_types_to_quantize=list(OPERATORS),
                extra_options=OPTIONS,
            )
        except Exception as error:
            reason = " ".join(str(error).split())
            raise ExportError(f"{graph.name}: it cannot be quantised: {reason:.300}") from error
        return target.read_bytes()


def speedup(plain: OnnxModel, int8: OnnxModel, inputs: Mapping[str, Tensor]) -> dict[int, float]:
    """The speedup of encoder and decoder by rows per batch, from the fastest run of each."""
    return {
        rows: _seconds(plain, inputs, rows) / _seconds(int8, inputs, rows) for rows in TIMED_ROWS
    }


def _scale_inputs(vae: VAE, x: Tensor, seed: int) -> dict[str, Tensor]:
    """Inputs of the graphs: x, and z drawn from the posterior and from the prior."""
    with torch.inference_mode():
        drawn = graph_arrays(vae, x, generator(seed, Purpose.EXPORT, 3))
    return {"x": torch.cat([x, x]), "z": torch.cat([drawn["z"], drawn["latents"]])}


class _CalibrationReader:
    """A CalibrationDataReader with one batch."""

    def __init__(self, graph: Graph, inputs: Mapping[str, Tensor]) -> None:
        self._batches = iter([{name: inputs[name].numpy() for name in graph.inputs}])

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return next(self._batches, None)


def _check_elbo(before: float, after: float) -> None:
    if not abs(after - before) <= TOLERANCE * abs(before):  # also rejects NaN
        raise ExportError(
            f"quantize: int8 changes the held-out ELBO from {before:.3f} to {after:.3f} nats, but "
            f"only {TOLERANCE:.1%} is allowed; no bundle was written. To write the float bundle, "
            "run export --no-quantize"
        )


def _seconds(model: OnnxModel, inputs: Mapping[str, Tensor], rows: int) -> float:
    x, z = inputs["x"][:rows], inputs["z"][:rows]
    return min(_timed(model, x, z) for _ in range(TIMED_RUNS))


def _timed(model: OnnxModel, x: Tensor, z: Tensor) -> float:
    began = time.perf_counter()
    model.encode(x)
    model.decode(z)
    return time.perf_counter() - began
