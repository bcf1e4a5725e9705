"""The graphs as a model: the same numbers as the VAE that they were exported from."""

from pathlib import Path

import numpy as np
import safetensors.torch
import torch

from training.evaluation.evaluate import evaluate
from training.export.onnx_model import OnnxModel
from vae.bundle import Bundle, open_bundle
from vae.networks import VAE


def opened(path: Path) -> tuple[Bundle, VAE]:
    bundle = open_bundle(path)
    vae = VAE(bundle.manifest).eval()
    vae.load_state_dict(safetensors.torch.load(bundle.files["checkpoint.safetensors"]))
    return bundle, vae


def test_it_computes_what_the_networks_do(digits_bundle: Path) -> None:
    bundle, vae = opened(digits_bundle)
    served = OnnxModel(vae, bundle.files)
    x = torch.from_numpy(bundle.arrays("golden.npz", "x")["x"])
    with torch.inference_mode():
        for found, expected in zip(served.encode(x), vae.encode(x), strict=True):
            assert torch.allclose(found, expected, atol=1e-5)
        z = torch.randn(len(x), bundle.manifest.latent_dim)
        assert torch.allclose(served.decode(z), vae.decode(z), atol=1e-4)
        assert torch.allclose(served.log_px_z(x, z), vae.log_px_z(x, z), atol=1e-3)


def test_its_elbo_is_that_of_the_held_out_scores(digits_bundle: Path) -> None:
    bundle, vae = opened(digits_bundle)
    x = torch.randint(0, 17, (300, 8, 8))
    served = OnnxModel(vae, bundle.files)
    again, other = served.elbo(x, seed=0), served.elbo(x, seed=1)
    assert again.shape == (300,)
    assert torch.equal(again, served.elbo(x, seed=0))
    assert not torch.equal(again, other)
    expected = evaluate(vae, x, samples=2, seed=0).scores
    np.testing.assert_allclose(again.numpy(), expected, rtol=1e-5, atol=1e-3)
