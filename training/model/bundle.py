"""Load the VAE of a bundle."""

from pathlib import Path

import safetensors.torch

from vae.bundle import BundleError, open_bundle
from vae.manifest import ModelSpec
from vae.networks import VAE


def load_bundle_model(path: Path) -> VAE:
    """The VAE of a version of a bundle. Raises BundleError if it is damaged or has no weights."""
    bundle = open_bundle(path)
    sections = {name: getattr(bundle.manifest, name) for name in ModelSpec.model_fields}
    vae = VAE(ModelSpec(**sections))
    try:
        vae.load_state_dict(safetensors.torch.load(bundle.files["checkpoint.safetensors"]))
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise BundleError(path, f"checkpoint.safetensors is of another model: {reason}") from None
    return vae
