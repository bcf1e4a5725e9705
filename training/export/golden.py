"""Golden outputs, which every runtime must reproduce, and the inputs of the export gate."""

import torch
from torch import Tensor

from training.export.gate import BATCH_SIZES
from training.export.onnx_model import OnnxModel
from training.system.seeds import Purpose, generator
from vae.bundle import to_npz
from vae.graphs import CONDITION
from vae.networks import VAE

GOLDEN_ROWS = 8


@torch.inference_mode()
def golden_file(vae: VAE | OnnxModel, x: Tensor, seed: int, c: Tensor | None = None) -> bytes:
    """``golden.npz``: inputs of all graphs, and the outputs of ``vae``, conditioned on c."""
    arrays = graph_arrays(vae, x, generator(seed, Purpose.EXPORT, 1)) | _condition_array(c)
    arrays["mean"] = vae.decode(arrays["z"])
    arrays["log_px_z"] = vae.log_px_z(x, arrays["z"])
    used = {name for graph in vae.spec.graphs for name in (*graph.inputs, *graph.outputs)}
    return to_npz({name: array.numpy() for name, array in arrays.items() if name in used})


@torch.inference_mode()
def gate_inputs(
    vae: VAE, held_out: Tensor, seed: int, c: Tensor | None = None
) -> dict[str, Tensor]:
    """Inputs of all graphs for the export gate: held-out rows with a draw of z for each."""
    rows = torch.arange(max(BATCH_SIZES)) % len(held_out)
    x = held_out.index_select(0, rows).float()
    c = None if c is None else c.index_select(0, rows)
    noise = generator(seed, Purpose.EXPORT, 0)
    arrays = graph_arrays(vae.conditioned_on(c), x, noise) | _condition_array(c)
    # Clones, because the exporter rejects tensors that were made in inference mode.
    return {name: array.clone() for name, array in arrays.items()}


def graph_arrays(vae: VAE | OnnxModel, x: Tensor, noise: torch.Generator) -> dict[str, Tensor]:
    """x, its posterior with one draw, and one draw of the prior per row, by name as in vae.graphs.

    The temperatures of the prior's draws are spread evenly over 0 to 1.
    """
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


def _condition_array(c: Tensor | None) -> dict[str, Tensor]:
    return {} if c is None else {CONDITION: c}
