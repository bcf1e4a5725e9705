"""Differences are measured in the size of what an output is made of."""

import numpy as np
import pytest

from vae.manifest import GaussianSpec, InputSpec, MLPSpec, ModelSpec, Preprocessing
from vae.relative_error import output_magnitudes, relative_error


def test_magnitudes_follow_the_data() -> None:
    spec = ModelSpec(
        input=InputSpec(kind="vector", shape=(3,), dtype="float32"),
        preprocessing=Preprocessing(shift=(-7.0, 0.0, 0.0), scale=(2.0, 3.0, 1e-6)),
        latent_dim=2,
        likelihood=GaussianSpec(),
        network=MLPSpec(),
    )
    found = {name: size.tolist() for name, size in output_magnitudes(spec).items()}
    latents = {"mu": 1, "logvar": 1, "z": 1, "latents": 1, "kl": 2}
    assert found == {**latents, "log_px_z": 3, "mean": [7, 3, 1e-6]}


@pytest.mark.parametrize(
    ("found", "expected", "magnitude", "difference_"),
    [
        (1.0, 1.0, 1.0, 0.0),
        (0.5, 0.0, 1.0, 0.5),
        (0.5, 0.0, 100.0, 0.005),
        (102.0, 100.0, 1.0, 0.02),
        (-102.0, -100.0, 1.0, 0.02),
        (2e-6, 1e-6, 1e-6, 1.0),
    ],
)
def test_difference(found: float, expected: float, magnitude: float, difference_: float) -> None:
    arrays = (np.array([found, 0.0]), np.array([expected, 0.0]))
    assert relative_error(*arrays, magnitude) == pytest.approx(difference_)


def test_nan_is_never_close() -> None:
    assert np.isnan(relative_error(np.array([np.nan]), np.array([1.0])))
    assert np.isnan(relative_error(np.array([1.0]), np.array([np.nan])))
