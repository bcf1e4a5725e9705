"""Pixels that know those before them: causal, normalised, and made one by one as all at once."""

import itertools

import pytest
import torch
from torch import Tensor, nn

from vae.likelihoods.autoregressive import AutoregressiveLikelihood, MaskedConvolution
from vae.likelihoods.bernoulli import Bernoulli
from vae.manifest import AutoregressionSpec, InputSpec

SHAPES = [(5, 4), (4, 7), (9, 8, 3)]


def make(shape: tuple[int, ...], radius: int = 3) -> AutoregressiveLikelihood:
    """With weights that make every pixel matter."""
    torch.manual_seed(0)
    spec = AutoregressionSpec(radius=radius, features=2, channels=4, layers=1)
    image = InputSpec(kind="image", shape=shape, dtype="uint8", range=(0, 1))
    module = AutoregressiveLikelihood(spec, image, Bernoulli(), nn.Identity())
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.7)
    return module.requires_grad_(False)


def features(shape: tuple[int, ...], rows: int = 3) -> Tensor:
    return torch.randn(rows, torch.Size(shape).numel() * 2)


def seen_from(
    module: AutoregressiveLikelihood, pixel: tuple[int, int], shape: tuple[int, int]
) -> Tensor:
    """Which pixels the distribution of ``pixel`` depends on, (H, W) of bool."""
    x = torch.rand(1, shape[0] * shape[1], requires_grad=True)
    logits = module.pixel_params(features(shape, 1), x).reshape(shape)
    logits[pixel].backward()
    assert x.grad is not None
    return x.grad.reshape(shape) != 0


@pytest.mark.parametrize("pixel", [(0, 0), (0, 6), (3, 0), (4, 3), (5, 6)])
def test_a_pixel_sees_those_before_it_in_its_window_and_no_others(pixel: tuple[int, int]) -> None:
    height, width, radius = 6, 7, 2
    found = seen_from(make((height, width), radius), pixel, (height, width))
    for row, column in itertools.product(range(height), range(width)):
        near = abs(row - pixel[0]) <= radius and abs(column - pixel[1]) <= radius
        assert found[row, column] == (near and (row, column) < pixel)


def test_it_is_normalised() -> None:
    module = make((3, 3), radius=2)
    every = torch.tensor(list(itertools.product((0.0, 1.0), repeat=9)))
    for params in features((3, 3)):
        log_p = module.log_prob(params.expand(len(every), -1), every)
        assert log_p.exp().sum().item() == pytest.approx(1, abs=1e-5)
        assert log_p.std() > 0.5


@pytest.mark.parametrize("shape", SHAPES)
def test_each_pixel_of_the_mean_is_the_mean_given_those_before(shape: tuple[int, ...]) -> None:
    module = make(shape)
    params = features(shape)
    mean = module.mean(params)
    torch.testing.assert_close(module.pixel.mean(module.pixel_params(params, mean)), mean)
    assert mean.std() > 0.1


@pytest.mark.parametrize("shape", SHAPES)
def test_the_line_is_the_image_for_one_pixel_after_another(shape: tuple[int, ...]) -> None:
    colours = 3 if len(shape) == 3 else 1
    window = MaskedConvolution(shape[0], shape[1], colours, radius=3, channels=2)
    x = torch.randn(2, shape[0] * shape[1] * colours)
    line = window.to_line(x.reshape(2, -1, colours))
    assert torch.equal(window.from_line(line), x)
    expected = window.to_line(window(x).reshape(2, shape[0] * shape[1], 2))
    weight = window.kernel_matrix()
    stretch = len(weight) // colours
    before = torch.cat([torch.zeros(stretch, 2, colours), line])
    for place in range(len(line)):
        seen = before[place : place + stretch].transpose(0, 1).flatten(1) @ weight
        if expected[place].any():
            torch.testing.assert_close(seen, expected[place], rtol=1e-4, atol=1e-5)


def test_draws_have_the_distribution() -> None:
    module = make((2, 3), radius=1)
    params = features((2, 3), 1)
    every = torch.tensor(list(itertools.product((0.0, 1.0), repeat=6)))
    p = module.log_prob(params.expand(len(every), -1), every).exp()
    drawn = module.sample(params.expand(20_000, -1), torch.Generator().manual_seed(0))
    number = (drawn * 2 ** torch.arange(5, -1, -1)).sum(dim=1).long()
    found = torch.bincount(number, minlength=64) / len(drawn)
    deviation = (p * (1 - p) / len(drawn)).sqrt()
    assert ((found - p).abs() <= 5 * deviation + 1e-4).all()
