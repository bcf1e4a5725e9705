"""The limit: bare onnxruntime in this process, without any server."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Final

import numpy as np

from bench.models import LATENT_DIM, Array, Reference, images
from bench.servers import Cores
from vae.graphs import DECODER, ENCODER, Graph

BATCHES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
MEASURED_SECONDS: Final = 0.05
Costs = Mapping[int, float]


def costs(reference: Reference, graph: Graph, core: int) -> Costs:
    """CPU seconds of one call by its rows: the median of the calls of MEASURED_SECONDS."""
    with thread_on((core,)):
        return {rows: _typical_call(reference, graph, rows) for rows in BATCHES}


def call(reference: Reference, graph: Graph, rows: int, core: int) -> float:
    """CPU seconds of one call of so many rows."""
    with thread_on((core,)):
        return _typical_call(reference, graph, rows)


def typical(rounds: Sequence[Costs]) -> Costs:
    """The medians over rounds."""
    return {rows: median(calls[rows] for calls in rounds) for rows in BATCHES}


def best_row(calls: Costs) -> float:
    """CPU seconds of a row in the batch where it costs least."""
    return min(seconds / rows for rows, seconds in calls.items())


def _typical_call(reference: Reference, graph: Graph, rows: int) -> float:
    inputs = inputs_of(graph, rows)
    reference.run(graph, *inputs)
    taken: list[float] = []
    while len(taken) < 2 or sum(taken) < MEASURED_SECONDS:
        # Of this thread alone: onnxruntime computes on the caller's when it has one.
        before = time.thread_time()
        reference.run(graph, *inputs)
        taken.append(time.thread_time() - before)
    return median(taken)


def inputs_of(graph: Graph, rows: int) -> list[Array]:
    """What the encoder or the decoder of the benchmarks' models takes."""
    noise = np.random.default_rng(0).standard_normal((rows, LATENT_DIM), dtype=np.float32)
    return {ENCODER: [images(rows)], DECODER: [noise]}[graph]


@contextmanager
def thread_on(cores: Cores) -> Iterator[None]:
    """Keep this thread on ``cores``, then let it go again."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
