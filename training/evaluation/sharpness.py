"""Sharpness of a model's images compared with the data: blur lowers it, noise raises it."""

import math
from dataclasses import asdict, dataclass

import torch
from rich.markup import escape
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

from training.evaluation.image_sets import SAMPLES, ImageSets

LAPLACIAN = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])
HALF_NYQUIST = 0.25
"""In periods per pixel; alternating black and white pixels have 0.5."""

MIN_ERROR = 1e-12
"""Smallest mean squared error: a perfect copy has 120 dB."""


@dataclass(frozen=True)
class ImageDetail:
    """The detail in a set of images.

    ``laplacian_variance`` is the variance of an image's Laplacian, averaged over images: large for
    edges and for noise (Pech-Pacheco et al. 2000). ``high_frequencies`` is the share of the power,
    without the mean, above half the Nyquist frequency in any direction.
    """

    laplacian_variance: float
    high_frequencies: float


@dataclass(frozen=True)
class Sharpness:
    """The detail of ``rows`` held-out images, their reconstructions, and SAMPLES samples.

    ``decoded`` and ``drawn`` are as in ImageSets. ``psnr`` is that of the reconstructions in dB,
    from the mean squared error of all pixels. ``pca_psnr`` is that of a PCA with as many components
    as z has dimensions, fitted to the same rows: the optimum of all linear codes.
    """

    rows: int
    data: ImageDetail
    reconstructed: ImageDetail
    decoded: ImageDetail
    drawn: ImageDetail
    psnr: float
    pca_psnr: float

    @property
    def by_title(self) -> dict[str, ImageDetail]:
        """The detail of each set by its title, the data first."""
        return {
            "data": self.data,
            "reconstructions": self.reconstructed,
            "samples, E[x|z]": self.decoded,
            "samples, x ~ p(x|z)": self.drawn,
        }

    def metrics(self) -> dict[str, float]:
        """The values by name, for the manifest."""
        details = {
            f"{name}_{metric}": value
            for name in ("data", "reconstructed", "decoded", "drawn")
            for metric, value in asdict(getattr(self, name)).items()
        }
        return {"psnr": self.psnr, "pca_psnr": self.pca_psnr, **details}


def measure_sharpness(images: ImageSets) -> Sharpness:
    """Measure the sharpness of all sets."""
    data, copies = images.data, images.reconstructed
    return Sharpness(
        rows=len(data),
        data=image_detail(data),
        reconstructed=image_detail(copies),
        decoded=image_detail(images.decoded),
        drawn=image_detail(images.drawn),
        psnr=psnr(float((data - copies).square().mean())),
        pca_psnr=psnr(pca_error(data.flatten(1), images.latent_dim)),
    )


def image_detail(planes: Tensor) -> ImageDetail:
    """The detail of images (rows, C, H, W), by colour channel and clipped to 0 to 1."""
    single = planes.flatten(0, 1)[:, None].clamp(0, 1)
    edges = F.conv2d(single, LAPLACIAN[None, None].to(single))
    power = torch.fft.fft2(single - single.mean(dim=(2, 3), keepdim=True)).abs().square()
    power = power.sum(dim=(0, 1), dtype=torch.float64)
    down, across = (torch.fft.fftfreq(size, device=power.device) for size in power.shape)
    high = torch.hypot(down[:, None], across) > HALF_NYQUIST
    return ImageDetail(
        laplacian_variance=float(edges.flatten(1).var(dim=1, correction=0).double().mean()),
        high_frequencies=float(power[high].sum() / power.sum().clamp(min=MIN_ERROR)),
    )


def psnr(mean_squared_error: float) -> float:
    """Peak signal-to-noise ratio in dB, for a peak of 1."""
    return -10 * math.log10(max(mean_squared_error, MIN_ERROR))


def pca_error(x: Tensor, components: int) -> float:
    """Mean squared error of x, (rows, size), reconstructed from its first principal components."""
    centred = x - x.mean(dim=0)
    rank = min(components + 20, *centred.shape)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        _, singular, _ = torch.svd_lowrank(centred.cpu(), q=rank, niter=6)
    left = centred.square().sum(dtype=torch.float64) - singular[:components].double().square().sum()
    return max(float(left), 0.0) / x.numel()


COLUMNS = ("", "Laplacian variance", "high frequencies")


def sharpness_table(sharpness: Sharpness) -> Table:
    """A table for the terminal."""
    table = Table(title=f"{sharpness.rows:,} images, {SAMPLES:,} samples")
    for name in COLUMNS:
        table.add_column(name, justify="right" if name else "left")
    for name, cells in table_rows(sharpness).items():
        table.add_row(escape(name), *cells)
    table.caption = psnr_line(sharpness)
    return table


def psnr_line(sharpness: Sharpness) -> str:
    """The PSNR of the reconstructions, in one line."""
    return f"reconstructions {sharpness.psnr:.2f} dB, PCA {sharpness.pca_psnr:.2f} dB"


def table_rows(sharpness: Sharpness) -> dict[str, list[str]]:
    """For each set both values, as text with the percentage of the data's value."""
    data = sharpness.data
    return {
        name: [
            _with_percentage(found.laplacian_variance, data.laplacian_variance),
            _with_percentage(found.high_frequencies, data.high_frequencies),
        ]
        for name, found in sharpness.by_title.items()
    }


def _with_percentage(found: float, data: float) -> str:
    share = f"{found / data:.0%}" if data else "–"
    return f"{found:.4f} {share:>5}"
