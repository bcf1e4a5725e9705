"""The graphs of a bundle as a model, as a server computes with them."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from training.evaluation.batches import Parts, in_batches
from vae.engine import onnxruntime as ort
from vae.graphs import DECODER, ENCODER, GRAPHS, SCORER, Graph
from vae.manifest import FileName
from vae.networks import VAE


class Served:
    """What a VAE computes, with encoder, decoder and scorer run by onnxruntime on one thread.

    Draws and KL are those of the ``vae`` itself, whose graphs for them are not quantised.
    """

    def __init__(self, vae: VAE, files: Mapping[FileName, bytes]) -> None:
        self.spec = vae.spec
        self._vae = vae
        self.posterior = vae.posterior
        self.prior = vae.prior
        self._sessions = {graph.name: _session(files[graph.file]) for graph in GRAPHS}

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """mu and logvar, as VAE.encode."""
        mu, logvar = self._run(ENCODER, x)
        return mu, logvar

    def decode(self, z: Tensor) -> Tensor:
        """The mean of p(x|z), as VAE.decode."""
        (mean,) = self._run(DECODER, z)
        return mean

    def log_px_z(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x|z) in nats, as VAE.log_px_z."""
        (log_px_z,) = self._run(SCORER, x, z)
        return log_px_z

    @torch.inference_mode()
    def elbo(self, x: Tensor, seed: int) -> Tensor:
        """The ELBO in nats of each row of x, (rows,), at one draw of z.

        The noise is the evaluation's, so that two models compare by what they do with it.
        """

        def work(vae: VAE, rows: Tensor, noise: torch.Generator) -> Parts:
            mu, logvar = self.encode(rows)
            z, kl = vae.posterior(mu, logvar, torch.randn(mu.shape, generator=noise))
            return (self.log_px_z(rows, z) - kl,)

        (elbo,) = in_batches(self._vae, x, work, ((),), seed)
        return elbo

    def _run(self, graph: Graph, *inputs: Tensor) -> list[Tensor]:
        feeds = {name: x.numpy() for name, x in zip(graph.inputs, inputs, strict=True)}
        outputs = self._sessions[graph.name].run(list(graph.outputs), feeds)
        return [torch.from_numpy(output) for output in outputs]


def _session(content: bytes) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4  # faults come back as exceptions
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
