"""The images that sharpness compares: held-out rows, reconstructions and samples."""

from dataclasses import dataclass

import torch
from torch import Tensor

from training.data.conditions import condition_tensor
from training.data.dataset import Dataset
from training.errors import RunError
from training.evaluation.batches import BATCH_ROWS, RowOutputs, map_batches
from training.evaluation.generate import reconstruct, sample_conditions
from training.evaluation.pixels import grid, to_pixels, to_png
from training.system.seeds import Purpose, generator
from vae.manifest import InputSpec
from vae.networks import VAE

SAMPLES = 1_000
MIN_SIDE = 3
"""The side of the Laplacian kernel, which images must contain."""

MIN_RANGE = 1e-12
MAX_ROWS, MAX_VALUES = 10_000, 1 << 25
"""At most this many held-out rows, and at most this many values together."""


@dataclass(frozen=True, eq=False)
class ImageSets:
    """Sets of images, (rows, C, H, W), scaled to 0 to 1.

    The scale is the range of the data or, if the data has none, that of the held-out rows.
    ``decoded`` are E[x|z] for z ~ p(z), which a server returns. ``drawn`` are x ~ p(x|z).
    """

    latent_dim: int
    data: Tensor
    reconstructed: Tensor
    decoded: Tensor
    drawn: Tensor

    def to_png(self, columns: int) -> bytes:
        """A PNG with one line of images per set: data, reconstructions, both kinds of samples."""
        sets = (self.data, self.reconstructed, self.decoded, self.drawn)
        images = torch.cat([planes[:columns].permute(0, 2, 3, 1) for planes in sets])
        gray = images.shape[3] == 1
        shape = (*images.shape[1:3], 3)
        spec = InputSpec(kind="image", shape=shape, dtype="float32", range=(0, 1))
        pixels = to_pixels(images.expand(-1, -1, -1, 3) if gray else images, spec)
        return to_png(grid(pixels, min(columns, len(self.data))))


def supports_sharpness(spec: InputSpec) -> bool:
    """Whether the rows are images, at least as large as the Laplacian kernel."""
    return spec.kind == "image" and min(spec.shape[:2]) >= MIN_SIDE


@torch.inference_mode()
def make_image_sets(vae: VAE, held_out: Dataset, seed: int) -> ImageSets | None:
    """Reconstruct and sample with ``vae``, on any device; None if the rows are not images.

    Raises RunError if a sample is not finite.
    """
    spec = vae.spec.input
    if not supports_sharpness(spec):
        return None
    vae = vae.frozen()
    rows = min(len(held_out), MAX_ROWS, max(1, MAX_VALUES // spec.size))
    x, c = held_out.x[:rows].float(), condition_tensor(held_out, vae.spec)
    bounds = spec.range or (float(x.min()), float(x.max()))
    sets = (x, _reconstructions(vae, x, c), *_samples(vae, seed, c))
    return ImageSets(vae.spec.latent_dim, *(to_unit(images, bounds) for images in sets))


def to_unit(images: Tensor, bounds: tuple[float, float]) -> Tensor:
    """Images, (rows, H, W) or (rows, H, W, C), as (rows, C, H, W) with the bounds at 0 and 1."""
    low, high = bounds
    planes = images[:, None] if images.ndim == 3 else images.permute(0, 3, 1, 2)
    return (planes - low) / max(high - low, MIN_RANGE)


def _reconstructions(vae: VAE, x: Tensor, c: Tensor | None) -> Tensor:
    """Reconstructions of x, (rows, *shape) in units of the data, on the CPU."""
    device = next(vae.parameters()).device

    def work(conditioned: VAE, rows: Tensor, noise: torch.Generator) -> RowOutputs:  # noqa: ARG001
        return (reconstruct(conditioned, rows),)

    c = None if c is None else c.to(device)
    (images,) = map_batches(vae, x.to(device), work, (vae.spec.input.shape,), seed=0, c=c)
    return images.cpu()


def _samples(vae: VAE, seed: int, c: Tensor | None) -> tuple[Tensor, Tensor]:
    """E[x|z] and x ~ p(x|z) of the same z ~ p(z), each (SAMPLES, *shape) in units of the data."""
    device = next(vae.parameters()).device
    noise = generator(seed, Purpose.IMAGES, 1, device)
    c = None if c is None else sample_conditions(c, SAMPLES).to(device)
    decoded, drawn = [], []
    for start in range(0, SAMPLES, BATCH_ROWS):
        rows = range(SAMPLES)[start : start + BATCH_ROWS]
        conditioned = vae.conditioned_on(None if c is None else c[rows.start : rows.stop])
        eps = torch.randn(len(rows), vae.spec.noise_dim, generator=noise, device=device)
        z = conditioned.prior(eps, torch.ones(len(rows), device=device))
        params = conditioned.decoder(z)
        if not params.isfinite().all():
            raise RunError(
                "samples of the model are not finite: the prior covers regions in which the "
                "decoder was not trained; use a lower learning rate or fewer prior components"
            )
        x = conditioned.likelihood.sample(params, noise)
        decoded.append(conditioned.decode(z).cpu())
        drawn.append(conditioned.preprocess.invert(x).reshape(decoded[-1].shape).cpu())
    return torch.cat(decoded), torch.cat(drawn)
