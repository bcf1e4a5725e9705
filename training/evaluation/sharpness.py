"""How sharp a model's pictures are beside the data's: what blur takes away, and noise adds."""

import math
from dataclasses import asdict, dataclass

import torch
from rich.markup import escape
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

from training.data.conditions import conditions
from training.data.dataset import Dataset
from training.errors import RunError
from training.evaluation.batches import Parts, in_batches
from training.evaluation.evaluate import ROWS as BATCH
from training.evaluation.generate import reconstruct, spread
from training.evaluation.pixels import grid, to_pixels, to_png
from training.system.seeds import Purpose, generator
from vae.manifest import InputSpec
from vae.networks import VAE

SAMPLES = 1_000
ROWS, VALUES = 10_000, 1 << 25
"""Held-out rows that are looked at, and no more than have so many values together."""

LAPLACIAN = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])
HALF_NYQUIST = 0.25
"""In periods a pixel; a wave of one pixel black and one white has 0.5."""

PERFECT = 1e-12
"""Least mean squared error: a perfect copy has 120 dB."""


@dataclass(frozen=True)
class Detail:
    """What makes pictures sharp.

    ``laplacian_variance``: mean over the pictures of the variance of their Laplacian, large for
    edges and for noise (Pech-Pacheco et al. 2000). ``high_frequencies``: the share of the power,
    but for the mean, that lies above half the Nyquist frequency in any direction.
    """

    laplacian_variance: float
    high_frequencies: float


@dataclass(frozen=True)
class Sharpness:
    """Of ``rows`` held-out pictures and as many samples as SAMPLES.

    Samples have z ~ p(z). ``decoded`` are E[x|z], which is what a server answers; ``drawn`` are
    x ~ p(x|z), the model's own idea of data. ``psnr`` is of the reconstructions, in dB of the mean
    squared error of all pixels; ``pca_psnr`` that of a PCA with as many components as z has
    dimensions, fitted to the very rows: the best that any linear code could do on them.
    """

    rows: int
    data: Detail
    reconstructed: Detail
    decoded: Detail
    drawn: Detail
    psnr: float
    pca_psnr: float

    @property
    def sets(self) -> dict[str, Detail]:
        """The sets of pictures by what they are, the data first."""
        return {
            "data": self.data,
            "reconstructions": self.reconstructed,
            "samples, E[x|z]": self.decoded,
            "samples, x ~ p(x|z)": self.drawn,
        }

    def figures(self) -> dict[str, float]:
        """The numbers by name, for a manifest."""
        details = {
            f"{name}_{figure}": value
            for name in ("data", "reconstructed", "decoded", "drawn")
            for figure, value in asdict(getattr(self, name)).items()
        }
        return {"psnr": self.psnr, "pca_psnr": self.pca_psnr, **details}


@dataclass(frozen=True, eq=False)
class Gallery:
    """Pictures of a model, (rows, C, H, W), whose range is 0 to 1: that of the data, or where it is
    not known that of the held-out rows. The sets are those of Sharpness.
    """

    latent_dim: int
    data: Tensor
    reconstructed: Tensor
    decoded: Tensor
    drawn: Tensor

    def strip(self, columns: int) -> bytes:
        """A PNG with a row for each set: data, reconstructions, both kinds of samples."""
        sets = (self.data, self.reconstructed, self.decoded, self.drawn)
        shown = torch.cat([planes[:columns].permute(0, 2, 3, 1) for planes in sets])
        gray = shown.shape[3] == 1
        shape = (*shown.shape[1:3], 3)
        spec = InputSpec(kind="image", shape=shape, dtype="float32", range=(0, 1))
        pixels = to_pixels(shown.expand(-1, -1, -1, 3) if gray else shown, spec)
        return to_png(grid(pixels, min(columns, len(self.data))))


def visible(spec: InputSpec) -> bool:
    """Whether rows are pictures, and no smaller than the Laplacian."""
    return spec.kind == "image" and min(spec.shape[:2]) >= len(LAPLACIAN)


@torch.inference_mode()
def look(vae: VAE, held_out: Dataset, seed: int) -> Gallery | None:
    """Ask ``vae``, on any device; None where nothing is visible.

    Raises RunError when what it draws is not finite.
    """
    spec = vae.spec.input
    if not visible(spec):
        return None
    vae = vae.settled()
    rows = min(len(held_out), ROWS, max(1, VALUES // spec.size))
    x, c = held_out.x[:rows].float(), conditions(held_out, vae.spec)
    bounds = spec.range or (float(x.min()), float(x.max()))
    sets = (x, _reconstructions(vae, x, c), *_samples(vae, seed, c))
    return Gallery(vae.spec.latent_dim, *(to_unit(pictures, bounds) for pictures in sets))


def measure(gallery: Gallery) -> Sharpness:
    """All figures of a gallery."""
    data, copies = gallery.data, gallery.reconstructed
    return Sharpness(
        rows=len(data),
        data=detail(data),
        reconstructed=detail(copies),
        decoded=detail(gallery.decoded),
        drawn=detail(gallery.drawn),
        psnr=psnr(float((data - copies).square().mean())),
        pca_psnr=psnr(pca_error(data.flatten(1), gallery.latent_dim)),
    )


def to_unit(pictures: Tensor, bounds: tuple[float, float]) -> Tensor:
    """Pictures, (rows, H, W) or (rows, H, W, C), to (rows, C, H, W) with the bounds at 0 and 1."""
    low, high = bounds
    planes = pictures[:, None] if pictures.ndim == 3 else pictures.permute(0, 3, 1, 2)
    return (planes - low) / max(high - low, PERFECT)


def detail(planes: Tensor) -> Detail:
    """Of pictures (rows, C, H, W), each colour by itself and cut off at 0 and 1, as on a screen."""
    single = planes.flatten(0, 1)[:, None].clamp(0, 1)
    edges = F.conv2d(single, LAPLACIAN[None, None].to(single))
    power = torch.fft.fft2(single - single.mean(dim=(2, 3), keepdim=True)).abs().square()
    power = power.sum(dim=(0, 1), dtype=torch.float64)
    down, across = (torch.fft.fftfreq(size, device=power.device) for size in power.shape)
    high = torch.hypot(down[:, None], across) > HALF_NYQUIST
    return Detail(
        laplacian_variance=float(edges.flatten(1).var(dim=1, correction=0).double().mean()),
        high_frequencies=float(power[high].sum() / power.sum().clamp(min=PERFECT)),
    )


def psnr(mean_squared_error: float) -> float:
    """Peak signal to noise in dB, where the peak is 1."""
    return -10 * math.log10(max(mean_squared_error, PERFECT))


def pca_error(x: Tensor, components: int) -> float:
    """Mean squared error that so many principal components of the rows x, (rows, size), leave."""
    centred = x - x.mean(dim=0)
    several = min(components + 20, *centred.shape)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        _, singular, _ = torch.svd_lowrank(centred.cpu(), q=several, niter=6)
    left = centred.square().sum(dtype=torch.float64) - singular[:components].double().square().sum()
    return max(float(left), 0.0) / x.numel()


FIGURES = ("", "Laplacian variance", "high frequencies")


def table(sharpness: Sharpness) -> Table:
    """The figures, for a terminal."""
    shown = Table(title=f"{sharpness.rows:,} pictures, {SAMPLES:,} samples")
    for name in FIGURES:
        shown.add_column(name, justify="right" if name else "left")
    for name, cells in told(sharpness).items():
        shown.add_row(escape(name), *cells)
    shown.caption = decibels(sharpness)
    return shown


def decibels(sharpness: Sharpness) -> str:
    """How close the reconstructions are, in one line."""
    return f"reconstructions {sharpness.psnr:.2f} dB, PCA {sharpness.pca_psnr:.2f} dB"


def told(sharpness: Sharpness) -> dict[str, list[str]]:
    """For each set of pictures both figures, with their share of the data's."""
    data = sharpness.data
    return {
        name: [
            _told(found.laplacian_variance, data.laplacian_variance),
            _told(found.high_frequencies, data.high_frequencies),
        ]
        for name, found in sharpness.sets.items()
    }


def _told(found: float, data: float) -> str:
    share = f"{found / data:.0%}" if data else "–"
    return f"{found:.4f} {share:>5}"


def _reconstructions(vae: VAE, x: Tensor, c: Tensor | None) -> Tensor:
    """(rows, *shape) in units of the data, on the CPU."""
    device = next(vae.parameters()).device

    def work(given: VAE, rows: Tensor, noise: torch.Generator) -> Parts:  # noqa: ARG001
        return (reconstruct(given, rows),)

    told = None if c is None else c.to(device)
    (made,) = in_batches(vae, x.to(device), work, (vae.spec.input.shape,), seed=0, c=told)
    return made.cpu()


def _samples(vae: VAE, seed: int, c: Tensor | None) -> tuple[Tensor, Tensor]:
    """E[x|z] and x ~ p(x|z) of the same z ~ p(z), each (SAMPLES, *shape) in units of the data."""
    device = next(vae.parameters()).device
    noise = generator(seed, Purpose.PICTURES, 1, device)
    told = None if c is None else spread(c, SAMPLES).to(device)
    decoded, drawn = [], []
    for start in range(0, SAMPLES, BATCH):
        rows = range(SAMPLES)[start : start + BATCH]
        given = vae.given(None if told is None else told[rows.start : rows.stop])
        eps = torch.randn(len(rows), vae.spec.noise_dim, generator=noise, device=device)
        z = given.prior(eps, torch.ones(len(rows), device=device))
        params = given.decoder(z)
        if not params.isfinite().all():
            raise RunError(
                "samples of the model are not finite: its prior reaches where its decoder never "
                "was trained; a lower learning rate or fewer prior components keep it near the data"
            )
        x = given.likelihood.sample(params, noise)
        decoded.append(given.decode(z).cpu())
        drawn.append(given.preprocess.invert(x).reshape(decoded[-1].shape).cpu())
    return torch.cat(decoded), torch.cat(drawn)
