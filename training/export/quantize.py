"""Int8 graphs in place of float ones, where the model stays as good.

Weights, one scale for each output, and what they are multiplied with become bytes (Jacob et al.
2018). The scales of the latter are fixed here, by training rows: scales that follow the batch would
give a row another answer in other company.
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

from training.config.options import TrainConfig
from training.data.binarise import binarise
from training.data.dataset import TrainingSet
from training.errors import ConfigError, ExportError
from training.export import gate
from training.export.golden import GOLDEN_ROWS, draws, gate_inputs, golden
from training.export.onnx_model import Served
from training.system.seeds import Purpose, generator
from vae.bundle import to_npz
from vae.engine import quantization
from vae.graphs import GRAPHS, Graph
from vae.manifest import FileName, ModelSpec
from vae.networks import VAE
from vae.parity import magnitudes

TOLERANCE = 0.005
"""Largest move of the held-out ELBO, as a share of it."""

CALIBRATION_ROWS = 512
TIMED_ROWS = (1, 8, 64, 256)
TIMED_RUNS = 20

OPERATORS: Final = ("Conv", "Gemm", "MatMul")
OPTIONS: Final = {
    # What comes out of a product goes on as float: mu, logvar and logits keep their precision, and
    # the next layer rounds its own input.
    "OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"],
}


@dataclass(frozen=True, eq=False)
class Int8:
    """The ``files`` that replace those of a float bundle, and what that did.

    ``before`` and ``after`` are the mean held-out ELBO in nats at one draw of z, ``scores`` the
    latter's rows; ``speedup`` is how many times as fast encoder and decoder are by batch size.
    """

    files: dict[FileName, bytes]
    before: float
    after: float
    scores: NDArray[np.float32]
    speedup: Mapping[int, float]

    def figures(self) -> dict[str, float]:
        """The numbers by name, for a manifest."""
        speedup = {f"int8_speedup_{rows}": ratio for rows, ratio in self.speedup.items()}
        return {"float_elbo": self.before, "int8_elbo": self.after, **speedup}

    def section(self) -> str:
        """Markdown for the model card."""
        ratios = ", ".join(f"{ratio:.1f} at {rows}" for rows, ratio in self.speedup.items())
        return (
            "## In int8\n\nThe graphs of this bundle are quantised to int8; the figures above and "
            "the pictures are of the float weights. At one draw of z for each row the ELBO is "
            f"{self.after:.2f} nats after {self.before:.2f} in float. Encoder and decoder were "
            f"this many times as fast on one thread, by rows a batch: {ratios}.\n"
        )


def check_quantizable(spec: ModelSpec) -> None:
    """Raise ConfigError where there is nothing to gain: before any work is done for it."""
    if spec.autoregression is not None:
        raise ConfigError(
            "quantize: a decoder with causal_radius runs pixel by pixel in a loop, which int8 does "
            "not reach; leave one of the two out"
        )
    if spec.condition is not None:
        raise ConfigError("quantize: a conditional model stays in float; leave one of the two out")


def calibration_rows(config: TrainConfig, data: TrainingSet) -> Tensor:
    """Rows of the training data as the model saw them, (CALIBRATION_ROWS, *shape)."""
    noise = generator(config.seed, Purpose.EXPORT, 2)
    x = data.rows.draw(CALIBRATION_ROWS, noise).x
    if config.binarise == "dynamic" and data.input.range is not None:
        x = binarise(x, data.input.range, torch.rand(x.shape, generator=noise))
    return x.float()


def quantize(
    vae: VAE, files: Mapping[FileName, bytes], seen: Tensor, held_out: Tensor, seed: int
) -> Int8:
    """Int8 graphs for a bundle's float ``files``, through a gate of their own.

    ``vae`` is on the CPU. ``seen`` are training rows, which set the scales; ``held_out`` decide.
    Raises ExportError when a graph cannot be quantised, gives a row another answer in another
    batch, or when the mean ELBO moves by more than TOLERANCE.
    """
    settled = vae.eval().settled()
    ranges = _ranges(settled, seen, seed)
    inputs, sizes = gate_inputs(settled, held_out, seed), magnitudes(vae.spec)
    graphs: dict[FileName, bytes] = {
        graph.file: quantize_graph(graph, files[graph.file], ranges) for graph in GRAPHS
    }
    for graph in GRAPHS:
        gate.check_alone(graph, graphs[graph.file], inputs, sizes)
    plain, int8 = Served(settled, files), Served(settled, graphs)
    scores = int8.elbo(held_out, seed)
    before = float(plain.elbo(held_out, seed).double().mean())
    after = float(scores.double().mean())
    _check_elbo(before, after)
    elbo = scores.numpy()
    arrays: dict[FileName, bytes] = {
        "golden.npz": golden(int8, held_out[:GOLDEN_ROWS].float(), seed),
        "calibration.npz": to_npz({"elbo": np.sort(elbo)}),
    }
    return Int8({**graphs, **arrays}, before, after, elbo, speedup(plain, int8, inputs))


def quantize_graph(graph: Graph, content: bytes, inputs: Mapping[str, Tensor]) -> bytes:
    """The graph with int8 products and convolutions, on scales that ``inputs`` need.

    Raises ExportError when onnxruntime cannot do it, or finds nothing to do.
    """
    tools = quantization()
    model = onnx.load_from_string(content)
    del model.graph.value_info[:]  # the exporter's names for the batch contradict those inferred
    with TemporaryDirectory() as folder:
        plain, folded, target = (Path(folder, name) for name in ("plain", "folded", "int8"))
        onnx.save(model, plain)
        try:
            tools.quant_pre_process(plain, folded, skip_symbolic_shape=True)
            tools.quantize_static(
                folded,
                target,
                _Reader(graph, inputs),
                quant_format=tools.QuantFormat.QDQ,
                activation_type=tools.QuantType.QUInt8,
                weight_type=tools.QuantType.QInt8,
                per_channel=True,
                # 7 bits: CPUs without VNNI add two products in 16 bits, which 8 would overflow.
                reduce_range=True,
                op_types_to_quantize=list(OPERATORS),
                extra_options=OPTIONS,
            )
        except Exception as error:
            reason = " ".join(str(error).split())
            raise ExportError(f"{graph.name}: it cannot be quantised: {reason:.300}") from error
        return target.read_bytes()


def speedup(plain: Served, int8: Served, inputs: Mapping[str, Tensor]) -> dict[int, float]:
    """How many times as fast ``int8`` encodes and decodes, by rows a batch: the best of each."""
    return {
        rows: _seconds(plain, inputs, rows) / _seconds(int8, inputs, rows) for rows in TIMED_ROWS
    }


def _ranges(vae: VAE, x: Tensor, seed: int) -> dict[str, Tensor]:
    """x, and z as it comes from x and from the prior: what the graphs will see."""
    with torch.inference_mode():
        drawn = draws(vae, x, generator(seed, Purpose.EXPORT, 3))
    return {"x": torch.cat([x, x]), "z": torch.cat([drawn["z"], drawn["latents"]])}


class _Reader:
    """One batch of everything, as a CalibrationDataReader gives it."""

    def __init__(self, graph: Graph, inputs: Mapping[str, Tensor]) -> None:
        self._batches = iter([{name: inputs[name].numpy() for name in graph.inputs}])

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return next(self._batches, None)


def _check_elbo(before: float, after: float) -> None:
    if not abs(after - before) <= TOLERANCE * abs(before):  # NaN is no ELBO either
        raise ExportError(
            f"quantize: int8 moves the held-out ELBO from {before:.3f} to {after:.3f} nats, and "
            f"{TOLERANCE:.1%} is allowed; nothing was published. For the float bundle: export "
            "--no-quantize"
        )


def _seconds(model: Served, inputs: Mapping[str, Tensor], rows: int) -> float:
    x, z = inputs["x"][:rows], inputs["z"][:rows]
    return min(_timed(model, x, z) for _ in range(TIMED_RUNS))


def _timed(model: Served, x: Tensor, z: Tensor) -> float:
    began = time.perf_counter()
    model.encode(x)
    model.decode(z)
    return time.perf_counter() - began
