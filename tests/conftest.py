"""Real bundles, trained once a session on tiny data, for every test that needs a model.

And tests that need more than this machine and a few seconds: they run only when asked for.
"""

from collections.abc import Callable, Iterator
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from torch.onnx._internal.exporter._registration import ONNXRegistry

from training.commands.train import TrainCommand, run_train

TrainBundle = Callable[..., Path]
ON_REQUEST = {
    "browser": "needs Chromium and playwright",
    "chaos": "takes minutes",
    "docker": "needs a Docker engine on this machine",
    "ray": "starts a cluster; needs ray",
}


def pytest_configure(config: pytest.Config) -> None:
    for mark, reason in ON_REQUEST.items():
        config.addinivalue_line("markers", f"{mark}: {reason}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for mark in ON_REQUEST.keys() - config.option.markexpr.split():
        for item in items:
            if item.get_closest_marker(mark):
                item.add_marker(pytest.mark.skip(reason=f"run with -m {mark}"))


@pytest.fixture(scope="session", autouse=True)
def one_registry() -> Iterator[None]:
    """torch reads the source of all its ONNX operators anew for every graph, which takes as long as
    the rest of the export. For the hundreds of graphs here it does so once.
    """
    with pytest.MonkeyPatch.context() as patch:
        once = cache(ONNXRegistry.from_torchlib)
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(once))
        yield


@pytest.fixture(scope="session")
def train_bundle(tmp_path_factory: pytest.TempPathFactory) -> TrainBundle:
    """``train_bundle(data, name, **options)`` trains and returns ``<models>/<name>/1``."""

    def train(data: object, name: str, **options: object) -> Path:
        root = tmp_path_factory.mktemp(name)
        command = TrainCommand(
            **{
                "data": str(data),
                "name": name,
                "run": root / "run",
                "models": root / "models",
                "epochs": 2,
                "importance_samples": 2,
                "threads": 1,
                **options,
            }
        )
        run_train(command, Console(file=None, quiet=True))
        return root / "models" / name / "1"

    return train


@pytest.fixture(scope="session")
def digits_bundle(train_bundle: TrainBundle) -> Path:
    """8×8 gray images, uint8 from 0 to 16, an MLP and a Bernoulli likelihood."""
    return train_bundle("digits", "digits", latent_dim=10, hidden=(32,))


@pytest.fixture(scope="session")
def conv_bundle(train_bundle: TrainBundle, colour_folder: Path) -> Path:
    """9×10 colour images, uint8 from 0 to 255, a conv network and a Gaussian likelihood."""
    return train_bundle(
        colour_folder,
        "colours",
        network="conv",
        channels=(4, 8),
        hidden=(16,),
        latent_dim=3,
        likelihood="gaussian",
    )


@pytest.fixture(scope="session")
def causal_bundle(train_bundle: TrainBundle) -> Path:
    """8×8 gray images of pixels that depend on those before them, Bernoulli."""
    return train_bundle(
        "digits", "causal", latent_dim=2, hidden=(16,), causal_radius=2, causal_channels=8
    )


@pytest.fixture(scope="session")
def table_bundle(train_bundle: TrainBundle, table_file: Path) -> Path:
    """Rows of three named columns, float32, an MLP and a Gaussian likelihood."""
    return train_bundle(table_file, "table", latent_dim=2, hidden=(8,), held_out=0.2)


@pytest.fixture(scope="session")
def flow_bundle(train_bundle: TrainBundle) -> Path:
    """8×8 gray images, an MLP, an inverse autoregressive flow and a mixture prior."""
    return train_bundle(
        "digits", "flow", latent_dim=3, hidden=(16,), posterior="iaf", prior="mixture"
    )


@pytest.fixture(scope="session")
def ladder_bundle(train_bundle: TrainBundle) -> Path:
    """8×8 gray images, an MLP and a ladder of two layers, the top one with a VampPrior."""
    return train_bundle("digits", "ladder", latent_dim=4, hidden=(16,), ladder=(1, 3), prior="vamp")


@pytest.fixture(scope="session")
def int8_bundle(train_bundle: TrainBundle) -> Path:
    """8×8 gray images, an MLP and a Bernoulli likelihood, in int8."""
    return train_bundle("digits", "int8", latent_dim=4, hidden=(16,), quantize=True)


@pytest.fixture(scope="session")
def int8_conv_bundle(train_bundle: TrainBundle) -> Path:
    """8×8 gray images and a conv network, in int8."""
    return train_bundle(
        "digits",
        "int8-conv",
        network="conv",
        channels=(4, 8),
        hidden=(16,),
        latent_dim=3,
        quantize=True,
    )


@pytest.fixture(scope="session")
def int8_flow_bundle(train_bundle: TrainBundle) -> Path:
    """8×8 gray images, an MLP, a flow and a learned prior: in int8, but for draws and KL."""
    return train_bundle(
        "digits",
        "int8-flow",
        latent_dim=3,
        hidden=(16,),
        posterior="iaf",
        prior="mixture",
        prior_components=4,
        quantize=True,
    )


@pytest.fixture(scope="session")
def conditional_bundle(train_bundle: TrainBundle) -> Path:
    """8×8 gray images, a conv network that is told the class, and a mixture prior."""
    return train_bundle(
        "digits",
        "conditional",
        conditional=True,
        network="conv",
        channels=(4,),
        hidden=(16,),
        latent_dim=3,
        prior="mixture",
    )


@pytest.fixture(scope="session")
def told_bundle(train_bundle: TrainBundle, table_file: Path) -> Path:
    """The weights of people, of whom height and age are told."""
    return train_bundle(
        table_file,
        "told",
        conditional=True,
        condition_columns=("height", "age"),
        latent_dim=1,
        hidden=(8,),
        epochs=60,
    )


@pytest.fixture(scope="session")
def colour_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 PNG files of 9×10 pixels: a square of some colour on black."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for number in range(40):
        pixels = np.zeros((9, 10, 3), np.uint8)
        row, column = random.integers(0, 5, 2)
        pixels[row : row + 4, column : column + 4] = random.integers(64, 256, 3)
        buffer = BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        (folder / f"{number:02}.png").write_bytes(buffer.getvalue())
    return folder


@pytest.fixture(scope="session")
def table_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV of 200 rows: height in cm, weight in kg that follows it, and age in years."""
    random = np.random.default_rng(0)
    height = random.normal(172, 9, 200)
    weight = 0.9 * height - 84 + random.normal(0, 6, 200)
    age = random.uniform(18, 80, 200)
    path = tmp_path_factory.mktemp("table") / "people.csv"
    rows = np.column_stack([height, weight, age])
    np.savetxt(path, rows, "%.3f", ",", header="height,weight,age", comments="")
    return path
