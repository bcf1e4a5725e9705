"""Sharpness: of pictures whose figures are known, and of models."""

import math
from io import BytesIO

import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from tests.training.models import gaussian_vae
from training.config.train_config import TrainConfig
from training.data.dataset import Dataset
from training.data.shapes import load_shapes
from training.errors import RunError
from training.evaluation import image_sets, sharpness
from training.evaluation.image_sets import ImageSets, make_image_sets
from training.evaluation.sharpness import ImageDetail, image_detail, measure_sharpness
from training.model.build import build_vae
from training.model.resolve import resolve
from training.model.spec import model_spec
from vae.latents.priors import GaussianMixture
from vae.networks import VAE

CHECKERS = (torch.arange(16)[:, None] + torch.arange(16)) % 2


def unit(pictures: Tensor) -> Tensor:
    return image_sets.to_unit(pictures, (0, 255))


def shapes(rows: int = 300) -> Tensor:
    return unit(load_shapes(rows).x.float())


def vae_on(data: Dataset, **options: object) -> VAE:
    given = {"data": "shapes", "latent_dim": 3, "hidden": (8,), "likelihood": "gaussian", **options}
    config = resolve(TrainConfig.model_validate(given), data)
    return build_vae(model_spec(config, data), 0)


def test_draws_that_are_not_finite_are_told_as_such() -> None:
    data = load_shapes(200)
    vae = vae_on(data, likelihood="logistic", prior="mixture", prior_components=3, causal_radius=1)
    for prior in vae.latents.modules():
        if isinstance(prior, GaussianMixture):
            prior.logvar.data[1] = 177.0  # σ = 3·10³⁸
    with pytest.raises(RunError, match="samples of the model are not finite"):
        make_image_sets(vae, data, 0)


def test_a_plain_picture_has_no_detail() -> None:
    assert image_detail(torch.full((2, 3, 8, 8), 0.4)) == ImageDetail(0, pytest.approx(0, abs=1e-6))


def test_a_chessboard_is_all_detail() -> None:
    found = image_detail(CHECKERS.float().expand(5, 1, 16, 16))
    assert found.laplacian_variance == pytest.approx(16)  # −4 and 4 in turns
    assert found.high_frequencies == pytest.approx(1)


@pytest.mark.parametrize(("periods", "high"), [(3, 0), (5, 1)])
def test_frequencies_are_high_from_half_of_nyquist_s(periods: int, high: int) -> None:
    wave = 0.5 + 0.5 * torch.sin(2 * math.pi * periods * torch.arange(16) / 16)
    for picture in (wave.expand(16, 16), wave[:, None].expand(16, 16)):
        assert image_detail(picture[None, None]).high_frequencies == pytest.approx(high, abs=1e-6)


def test_blur_takes_detail_away_and_noise_adds_it() -> None:
    planes = shapes()
    torch.manual_seed(0)
    blurred, noisy = F.avg_pool2d(planes, 3, 1, 1), planes + 0.1 * torch.randn(planes.shape)
    data, less, more = image_detail(planes), image_detail(blurred), image_detail(noisy)
    assert less.laplacian_variance < 0.3 * data.laplacian_variance
    assert less.high_frequencies < 0.5 * data.high_frequencies
    assert more.laplacian_variance > 1.5 * data.laplacian_variance
    assert more.high_frequencies > 1.5 * data.high_frequencies


def test_values_beyond_black_and_white_are_not_seen() -> None:
    assert image_detail(3 * CHECKERS.float()[None, None] - 1) == image_detail(
        CHECKERS.float()[None, None]
    )


def test_decibels() -> None:
    assert sharpness.psnr(0.01) == pytest.approx(20)
    assert sharpness.psnr(0) == pytest.approx(120)


@pytest.mark.parametrize("components", [1, 20, 400])
def test_the_error_of_pca_is_what_its_components_leave(components: int) -> None:
    x = shapes().flatten(1)
    spread = torch.linalg.svdvals((x - x.mean(dim=0)).double()).square()
    expected = float(spread[components:].sum()) / x.numel()
    assert sharpness.pca_error(x, components) == pytest.approx(expected, rel=1e-3, abs=1e-7)


def test_pictures_that_are_the_data_are_as_sharp() -> None:
    planes = shapes()
    found = measure_sharpness(ImageSets(3, planes, planes, planes, planes))
    assert found.psnr == pytest.approx(120)
    assert 5 < found.pca_psnr < 30
    assert found.decoded == found.drawn == found.data
    assert sharpness.table_rows(found)["samples, E[x|z]"] == sharpness.table_rows(found)["data"]
    assert "100%" in sharpness.table_rows(found)["data"][0]
    assert set(found.metrics()) >= {"psnr", "pca_psnr", "data_laplacian_variance"}


def test_a_gallery_has_the_data_and_what_the_model_makes() -> None:
    data = load_shapes(40)
    gallery = make_image_sets(vae_on(data, variance=0.25), data, seed=0)
    assert gallery is not None
    assert torch.equal(gallery.data, shapes(40))
    assert gallery.reconstructed.shape == (40, 3, 16, 16)
    assert gallery.decoded.shape == gallery.drawn.shape == (image_sets.SAMPLES, 3, 16, 16)
    noise = gallery.drawn - gallery.decoded
    assert noise.std().item() == pytest.approx(0.5, rel=0.01)


def test_a_gallery_follows_from_the_seed() -> None:
    data = load_shapes(10)
    vae = vae_on(data)
    one, again, other = (make_image_sets(vae, data, seed) for seed in (0, 0, 1))
    assert one is not None
    assert again is not None
    assert other is not None
    assert torch.equal(one.drawn, again.drawn)
    assert not torch.equal(one.drawn, other.drawn)


def test_a_conditional_model_is_told_the_classes() -> None:
    data = load_shapes(300)
    gallery = make_image_sets(vae_on(data, conditional=True), data, seed=0)
    assert gallery is not None
    assert gallery.reconstructed.shape == gallery.data.shape


def test_there_is_nothing_to_see_of_vectors() -> None:
    vae = gaussian_vae()
    assert make_image_sets(vae, Dataset(torch.zeros(9, 5), vae.spec.input), seed=0) is None


def test_a_strip_has_a_row_for_each_kind() -> None:
    planes = shapes(30)
    strip = ImageSets(3, planes, planes, planes, planes).to_png(columns=5)
    with Image.open(BytesIO(strip)) as picture:
        assert picture.size == (5 * 68 + 4, 4 * 68 + 4)
    gray = ImageSets(3, *[planes[:, :1]] * 4).to_png(columns=5)
    with Image.open(BytesIO(gray)) as picture:
        assert picture.size == (5 * 68 + 4, 4 * 68 + 4)
