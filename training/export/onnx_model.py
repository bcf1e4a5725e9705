"""A model that computes with the ONNX graphs of a bundle, as a server does."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from training.evaluation.batches import RowOutputs, map_batches
from vae.graphs import DECODER, ENCODER, GRAPHS, SCORER, Graph
from vae.manifest import FileName
from vae.networks import VAE
from vae.onnxruntime_no_telemetry import onnxruntime as ort


class OnnxModel:
    """A VAE whose encoder, decoder and scorer run in onnxruntime on one thread.

    Posterior draws, KL and prior draws are those of ``vae``; their graphs are never quantised.
    """

    def __init__(self, vae: VAE, files: Mapping[FileName, bytes]) -> None:
        self.spec = vae.spec
        self._vae = vae
        self.posterior = vae.posterior
        self.prior = vae.prior
        self._sessions = {graph.name: _session(files[graph.file]) for graph in GRAPHS}

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """mu and logvar, like VAE.encode."""
        mu, logvar = self._run(ENCODER, x)
        return mu, logvar

    def decode(self, z: Tensor) -> Tensor:
        """The mean of p(x|z), like VAE.decode."""
        (mean,) = self._run(DECODER, z)
        return mean

    def log_px_z(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x|z) in nats, like VAE.log_px_z."""
        (log_px_z,) = self._run(SCORER, x, z)
        return log_px_z

    @torch.inference_mode()
    def elbo(self, x: Tensor, seed: int) -> Tensor:
        """The ELBO in nats of each row of x, (rows,), from one draw of z.

        Two models with the same ``seed`` get the same noise, so that their ELBOs are comparable.
        """

        def work(vae: VAE, rows: Tensor, noise: torch.Generator) -> RowOutputs:
            mu, logvar = self.encode(rows)
            z, kl = vae.posterior(mu, logvar, torch.randn(mu.shape, generator=noise))
            return (self.log_px_z(rows, z) - kl,)

        (elbo,) = map_batches(self._vae, x, work, ((),), seed)
        return elbo

    def _run(self, graph: Graph, *inputs: Tensor) -> list[Tensor]:
        feeds = {name: x.numpy() for name, x in zip(graph.inputs, inputs, strict=True)}
        outputs = self._sessions[graph.name].run(list(graph.outputs), feeds)
        return [torch.from_numpy(output) for output in outputs]


def _session(content: bytes) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4  # errors are raised as exceptions
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
