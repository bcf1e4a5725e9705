"""The model of all other servers: the bundle's encoder and decoder in onnxruntime, on one thread.

Every server of this folder runs in an environment of its own, with PORT and BUNDLE in its
environment.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np

from vae.onnxruntime_no_telemetry import onnxruntime

PORT = int(os.environ.get("PORT", "8000"))
MAX_BATCH = 64
"""Requests in a batch, wherever a server forms batches."""
WAIT_SECONDS = 0.001
"""How long a batch waits for more requests, wherever a server waits."""
PIXELS = 784
LATENT_DIM = 20

Array = Any  # pytriton needs a numpy whose types differ


class OnnxVAE:
    """Images are (rows, PIXELS), latents (rows, LATENT_DIM), all float32."""

    def __init__(self) -> None:
        bundle = Path(os.environ["BUNDLE"])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._encoder, self._decoder = (
            onnxruntime.InferenceSession(bundle / f"{graph}.onnx", options)
            for graph in ("encoder", "decoder")
        )
        self._shape = self._encoder.get_inputs()[0].shape[1:]
        self._random = np.random.default_rng()

    def encode(self, x: Array) -> tuple[Array, Array]:
        """``mu`` and ``logvar``."""
        mu, logvar = self._encoder.run(None, {"x": x.reshape(-1, *self._shape)})
        return mu, logvar

    def decode(self, z: Array) -> Array:
        """The images of latents."""
        return self._decoder.run(None, {"z": z})[0].reshape(-1, PIXELS)

    def reconstruct(self, x: Array) -> Array:
        """The images decoded from ``mu``."""
        return self.decode(self.encode(x)[0])

    def sample(self, n: int, seed: int | None = None) -> tuple[Array, Array]:
        """Latents drawn from N(0, I) and their images."""
        random = self._random if seed is None else np.random.default_rng(seed)
        z = random.standard_normal((n, LATENT_DIM), dtype=np.float32)
        return z, self.decode(z)


def split(rows: Array, sizes: list[int]) -> list[Array]:
    """The rows of each request of a batch."""
    return np.split(rows, np.cumsum(sizes)[:-1])


def images_of(body: bytes) -> Array:
    """The images of a binary body."""
    return np.frombuffer(body, dtype=np.float32).reshape(-1, PIXELS)
