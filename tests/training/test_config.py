"""The config of a run: names that follow from the data, and what is decided once it is read."""

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from training.build import build, model_spec
from training.config import FREE_TO_CHANGE, TrainConfig, differences, resolve
from training.data.dataset import Dataset
from training.errors import ConfigError
from vae.manifest import InputSpec

IMAGES = Dataset(
    torch.zeros(100, 8, 8, dtype=torch.uint8),
    InputSpec(kind="image", shape=(8, 8), dtype="uint8", range=(0, 16)),
)
TABLE = Dataset(
    torch.randn(100, 3), InputSpec(kind="vector", shape=(3,), dtype="float32", range=None)
)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("digits", "digits"),
        ("photos/My faces.npz", "My-faces"),
        ("photos/", "photos"),
        ("train-images-idx3-ubyte.gz", "train-images-idx3-ubyte"),
        ("é/ß.csv", "model"),
    ],
)
def test_the_name_and_the_run_follow_from_the_data(data: str, name: str) -> None:
    config = TrainConfig(data=data)
    assert config.name == name
    assert config.run == Path("runs", name)


def test_images_with_a_range_get_bernoulli_and_tables_a_learned_gaussian() -> None:
    images, table = (resolve(TrainConfig(data="x"), data) for data in (IMAGES, TABLE))
    assert (images.scaling, images.likelihood) == ("range", "bernoulli")
    assert (table.scaling, table.likelihood, table.variance) == (
        "standardise",
        "gaussian",
        "learned",
    )


def test_epochs_make_the_default_number_of_steps() -> None:
    assert resolve(TrainConfig(data="x", batch_size=30), IMAGES).epochs == 750  # 4 steps each
    assert resolve(TrainConfig(data="x", epochs=7), IMAGES).epochs == 7


def test_resolving_twice_changes_nothing() -> None:
    once = resolve(TrainConfig(data="x"), IMAGES)
    assert resolve(once, IMAGES) == once


def test_differences_name_what_would_change_the_result() -> None:
    before = TrainConfig(data="x")
    assert differences(before, TrainConfig(data="y", epochs=9, threads=2)) == []
    assert differences(before, TrainConfig(data="x", latent_dim=3)) == ["latent_dim: 16 → 3"]
    assert TrainConfig.model_fields.keys() >= FREE_TO_CHANGE


def test_conv_takes_one_hidden_width() -> None:
    with pytest.raises(ValidationError, match="one width"):
        TrainConfig(data="x", network="conv", hidden=(3, 4))


@pytest.mark.parametrize(
    ("options", "data", "message"),
    [
        ({"network": "conv"}, TABLE, "conv network needs images"),
        ({"likelihood": "bernoulli", "scaling": "none"}, TABLE, r"needs values in \[0, 1\]"),
    ],
)
def test_parts_that_do_not_fit_are_named(
    options: dict[str, str], data: Dataset, message: str
) -> None:
    config = resolve(TrainConfig.model_validate({"data": "x", **options}), data)
    with pytest.raises(ConfigError, match=message):
        model_spec(config, data)


def test_the_seed_alone_decides_the_first_weights() -> None:
    spec = model_spec(resolve(TrainConfig(data="x"), IMAGES), IMAGES)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again, other = (build(spec, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["encoder.0.weight"], other["encoder.0.weight"])
