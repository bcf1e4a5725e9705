"""Black and white from gray: with the right odds, and the same for the same seed."""

import pytest
import torch

from training.data.binarise import binarise, binarise_dataset
from training.data.dataset import DataError, Dataset
from vae.manifest import InputSpec

LIMITS = (0.0, 16.0)


def noise(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_each_value_is_the_upper_limit_as_often_as_its_place_says() -> None:
    x = torch.tensor([0, 4, 8, 16], dtype=torch.uint8).expand(50_000, 4)
    drawn = binarise(x, LIMITS, torch.rand(x.shape, generator=noise()))
    assert drawn.dtype == torch.uint8
    assert set(drawn.unique().tolist()) == {0, 16}
    share = (drawn == 16).float().mean(0)
    torch.testing.assert_close(share, torch.tensor([0, 0.25, 0.5, 1]), atol=0.01, rtol=0)


def test_limits_need_not_begin_at_zero() -> None:
    uniform = torch.rand(10_000, generator=noise())
    drawn = binarise(torch.full((10_000,), 0.5), (-1.0, 1.0), uniform)
    assert set(drawn.unique().tolist()) == {-1.0, 1.0}
    assert (drawn == 1).float().mean().item() == pytest.approx(0.75, abs=0.02)


def test_a_data_set_is_drawn_as_the_seed_decides_and_stays_what_it_is() -> None:
    x = torch.randint(0, 17, (5000, 2, 2), generator=noise(), dtype=torch.uint8)
    spec = InputSpec(kind="image", shape=(2, 2), dtype="uint8", range=(0, 16))
    gray = Dataset(x, spec, labels=torch.arange(5000))
    first, again, other = (binarise_dataset(gray, seed) for seed in (1, 1, 2))
    assert torch.equal(first.x, again.x)
    assert not torch.equal(first.x, other.x)
    assert first.input == spec
    assert first.labels is gray.labels
    assert not torch.equal(first.x[:904], first.x[4096:])  # chunks have noise of their own


def test_values_without_bounds_are_refused() -> None:
    table = Dataset(torch.zeros(3, 2), InputSpec(kind="vector", shape=(2,), dtype="float32"))
    with pytest.raises(DataError, match="binarise: needs values with known bounds"):
        binarise_dataset(table, 0)
