"""Golden outputs, which every runtime must reproduce, and the inputs of the export gate."""

import torch
from torch import Tensor

from training.export import gate
from training.export.onnx_model import Served
from training.system.seeds import Purpose, generator
from vae.bundle import to_npz
from vae.graphs import CONDITION
from vae.networks import VAE

GOLDEN_ROWS = 8


@torch.inference_mode()
def golden(vae: VAE | Served, x: Tensor, seed: int, c: Tensor | None = None) -> bytes:
    """``golden.npz``: what ``vae``, given c, gives for x, which every runtime must reproduce."""
    arrays = draws(vae, x, generator(seed, Purpose.EXPORT, 1)) | _told(c)
    arrays["mean"] = vae.decode(arrays["z"])
    arrays["log_px_z"] = vae.log_px_z(x, arrays["z"])
    used = {name for graph in vae.spec.graphs for name in (*graph.inputs, *graph.outputs)}
    return to_npz({name: array.numpy() for name, array in arrays.items() if name in used})


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
