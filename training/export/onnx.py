"""From a trained VAE to the files of a bundle: ONNX graphs, golden outputs, calibration."""

import importlib.metadata
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import onnx
import torch
from numpy.typing import ArrayLike, NDArray
from safetensors.torch import save
from torch import Tensor, nn

from training.errors import ExportError
from training.evaluation.evaluate import Evaluation
from training.export import gate
from training.export.onnx_model import Served
from training.system.seeds import Purpose, generator
from vae.bundle import to_npz
from vae.engine import onnxruntime as ort
from vae.graphs import CONDITION, DECODER, ENCODER, POSTERIOR, PRIOR, SCORER, Graph
from vae.manifest import Calibration, FileName
from vae.networks import VAE
from vae.parity import magnitudes

GOLDEN_ROWS = 8
EXAMPLE_ROWS = 3
"""The exporter takes a batch of 0 or 1 for a constant."""

NOISY_LOGGERS = ("torch", "torch.onnx", "torch.export", "onnxscript", "onnx_ir")


class Encoder(nn.Module):
    """x → mu, logvar."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.vae.given(c).encode(x)


class Decoder(nn.Module):
    """z → mean of p(x|z)."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        return self.vae.given(c).decode(z)


class Scorer(nn.Module):
    """x, z → log p(x|z)."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, x: Tensor, z: Tensor, c: Tensor | None = None) -> Tensor:
        return self.vae.given(c).log_px_z(x, z)


class Posterior(nn.Module):
    """mu, logvar, eps → a draw of q(z|x) and its KL."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, mu: Tensor, logvar: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
        return self.vae.posterior(mu, logvar, eps)


class Prior(nn.Module):
    """noise, temperature → a draw of p(z)."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, noise: Tensor, temperature: Tensor) -> Tensor:
        return self.vae.prior(noise, temperature)


MODULES: Mapping[str, Callable[[VAE], nn.Module]] = {
    ENCODER.name: Encoder,
    DECODER.name: Decoder,
    SCORER.name: Scorer,
    POSTERIOR.name: Posterior,
    PRIOR.name: Prior,
}


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


@torch.inference_mode()
def golden(vae: VAE | Served, x: Tensor, seed: int, c: Tensor | None = None) -> bytes:
    """``golden.npz``: what ``vae``, given c, gives for x, which every runtime must reproduce."""
    arrays = draws(vae, x, generator(seed, Purpose.EXPORT, 1)) | _told(c)
    arrays["mean"] = vae.decode(arrays["z"])
    arrays["log_px_z"] = vae.log_px_z(x, arrays["z"])
    used = {name for graph in vae.spec.graphs for name in (*graph.inputs, *graph.outputs)}
    return to_npz({name: array.numpy() for name, array in arrays.items() if name in used})


def calibration(scores: NDArray[np.float32]) -> Calibration:
    """The manifest's summary of ``calibration.npz``."""
    exact = scores.astype(np.float64)
    return Calibration(rows=len(exact), mean=float(exact.mean()), std=float(exact.std()))


def versions() -> dict[str, str]:
    """What wrote the bundle."""
    return {
        "torch": torch.__version__,
        "onnx": onnx.__version__,
        "onnxruntime": ort.__version__,
        "vae-server": _own_version(),
    }


def _own_version() -> str:
    try:
        return importlib.metadata.version("vae-server")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


@torch.inference_mode()
def gate_inputs(
    vae: VAE, held_out: Tensor, seed: int, c: Tensor | None = None
) -> dict[str, Tensor]:
    """Held-out rows with a draw of z for each: what the graphs will be asked."""
    rows = torch.arange(max(gate.BATCH_SIZES)) % len(held_out)
    x = held_out.index_select(0, rows).float()
    given = None if c is None else c.index_select(0, rows)
    arrays = draws(vae.given(given), x, generator(seed, Purpose.EXPORT, 0)) | _told(given)
    # Cloned, for the exporter does not take tensors of inference mode.
    return {name: array.clone() for name, array in arrays.items()}


def draws(vae: VAE | Served, x: Tensor, noise: torch.Generator) -> dict[str, Tensor]:
    """x, its posterior with a draw, and as many draws of the prior at all temperatures up to 1."""
    mu, logvar = vae.encode(x)
    eps = torch.randn(mu.shape, generator=noise)
    z, kl = vae.posterior(mu, logvar, eps)
    prior_noise = torch.randn(len(x), vae.spec.noise_dim, generator=noise)
    temperature = torch.linspace(0, 1, len(x))
    return {
        "x": x,
        "mu": mu,
        "logvar": logvar,
        "eps": eps,
        "z": z,
        "kl": kl,
        "noise": prior_noise,
        "temperature": temperature,
        "latents": vae.prior(prior_noise, temperature),
    }


def _told(c: Tensor | None) -> dict[str, Tensor]:
    return {} if c is None else {CONDITION: c}


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
