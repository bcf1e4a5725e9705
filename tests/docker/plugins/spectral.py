"""A runtime that a user mounts into the image. It imports modules that the service does not use."""

import pdb
import sqlite3
from typing import Any

import numpy as np
from numpy import fft, ma

from service.runtimes.onnx import OnnxRuntime
from vae.bundle import Bundle
from vae.graphs import Graph


class SpectralRuntime(OnnxRuntime):
    """onnxruntime, with every input taken to its spectrum and back: the same outputs."""

    def __init__(self, bundle: Bundle, **options: Any) -> None:
        super().__init__(bundle, **options)
        (version,) = sqlite3.connect(":memory:").execute("select sqlite_version()").fetchone()
        print(f"spectral runtime, {pdb.Pdb.__name__}, SQLite {version}", flush=True)

    def run(self, graph: Graph, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        outputs = super().run(graph, tuple(map(_by_spectrum, inputs)))
        return tuple(ma.masked_invalid(array).filled(0) for array in outputs)


def _by_spectrum(array: Any) -> Any:
    rows = array.reshape(len(array), -1)
    same = fft.irfft(fft.rfft(rows), n=rows.shape[1])
    return np.ascontiguousarray(same.reshape(array.shape), np.float32)
