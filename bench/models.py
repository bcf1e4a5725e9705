"""The two models that every server runs: bundles that ``python -m training`` writes once.

``mlp`` has layers 784-128-20 and back; ``conv`` has convolutions of 128 and 256 channels on 28×28
images, 36 million floating-point operations an image in its encoder. They are trained for one epoch
on noise: a network computes for as long whatever its weights are.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.paths import BUILD, ROOT
from bench.workloads import ModelName, Verb
from vae.onnxruntime_no_telemetry import onnxruntime

PIXELS: Final = 784
LATENT_DIM: Final = 20
OPTIONS: Final[dict[ModelName, tuple[str, ...]]] = {
    "mlp": ("--network", "mlp", "--hidden", "128"),
    "conv": ("--network", "conv", "--channels", "128,256", "--hidden", "256"),
}
ROWS: Final[dict[ModelName, tuple[int, ...]]] = {"mlp": (1024, PIXELS), "conv": (256, 28, 28)}

Array = NDArray[np.float32]


def images(rows: int, seed: int) -> Array:
    """Noise of four decimals in [0, 1], (rows, PIXELS): no pixel is short in JSON."""
    return np.random.default_rng(seed).random((rows, PIXELS)).round(4).astype(np.float32)


def bundle_of(name: ModelName, root: Path = BUILD / "models") -> Path:
    """The bundle's directory; trains the model if it is missing. Raises BenchError on failure."""
    path = root / name / "1"
    if not (path / "manifest.json").exists():
        _train(name, root)
    return path


class Reference:
    """The bundle's encoder and decoder in bare onnxruntime, in this process, on one thread."""

    def __init__(self, bundle: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._encoder, self._decoder = (
            onnxruntime.InferenceSession(bundle / f"{graph}.onnx", options)
            for graph in ("encoder", "decoder")
        )
        self._shape = self._encoder.get_inputs()[0].shape[1:]

    def expect(self, verb: Verb, given: Array) -> dict[str, Array]:
        """The right reply: of ``sample`` for the latents, of the other verbs for the images."""
        if verb == "sample":
            return {"latents": given, "outputs": self._decode(given)}
        mu, logvar = self._encoder.run(None, {"x": given.reshape(-1, *self._shape)})
        if verb == "encode":
            return {"mu": mu, "logvar": logvar}
        return {"outputs": self._decode(mu)}

    def _decode(self, z: Array) -> Array:
        (mean,) = self._decoder.run(None, {"z": z})
        return np.asarray(mean).reshape(-1, PIXELS)


def _train(name: ModelName, root: Path) -> None:
    folder = root / f"train-{name}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rows = np.random.default_rng(0).random(ROWS[name], dtype=np.float32)
    np.save(folder / "rows.npy", rows)
    command = [
        *(sys.executable, "-m", "training", "train", "--data", str(folder / "rows.npy")),
        *("--name", name, "--run", str(folder / "run"), "--models", str(root), *OPTIONS[name]),
        *("--latent-dim", str(LATENT_DIM), "--likelihood", "bernoulli", "--scaling", "none"),
        *("--epochs", "1", "--importance-samples", "1", "--threads", "1"),
    ]
    environment = {key: text for key, text in os.environ.items() if not key.startswith("VAE_")}
    done = subprocess.run(  # noqa: S603
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise BenchError(f"training {name} failed: {done.stderr.strip()[-500:]}")
    shutil.rmtree(folder)
