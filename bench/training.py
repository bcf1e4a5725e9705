"""The speed of training: ``python -m bench training``.

It trains the MLP 784-128-20 on random images in memory, on one thread, in float32 and in bfloat16.
Two references are measured in the same run: the matrix products of a step alone, and the loop that
tutorials show, in which a DataLoader converts one image at a time and every step reads its loss.
Rounds alternate between the four. The figures are images a CPU second in the best round of each.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from bench.models import LATENT_DIM
from bench.table import table
from training.config.train_config import TrainConfig
from training.config.types import Precision
from training.data.dataset import Dataset
from training.loop.reporter import Reporter
from training.loop.train import run_epoch
from training.loop.train_state import TrainState
from training.model.build import build_vae
from training.model.resolve import resolve
from training.model.spec import model_spec
from vae.manifest import InputSpec

PIXELS: Final = 784
HIDDEN: Final = 128
LAYERS: Final = (
    *pairwise((PIXELS, HIDDEN, 2 * LATENT_DIM)),
    *pairwise((LATENT_DIM, HIDDEN, PIXELS)),
)
"""Inputs and outputs of the fully connected layers, in their order."""

ROWS: Final = 16_384
BATCHES: Final = (128, 512, 2048)
REPETITIONS: Final = 5
LEARNING_RATE: Final = 1e-3

Work = Callable[[], object]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Speeds:
    """Images a CPU second with ``batch`` rows a step: of training in float32 and in bfloat16, of
    the tutorial's loop and of the bare matrix products.
    """

    batch: int
    training: float
    bfloat16: float
    per_item: float
    products: float


def measure(*, repetitions: int = REPETITIONS, rows: int = ROWS) -> list[Speeds]:
    """Measure each batch size, with the defaults of ``vae-train`` otherwise."""
    with _one_thread():
        return [_measure(batch, repetitions, rows) for batch in BATCHES]


def markdown(found: Sequence[Speeds]) -> str:
    """A line for each batch size; the ratios are those of float32."""
    head = (
        *("rows a step", "training", "in bfloat16", "DataLoader loop", "bare products"),
        *("over the loop", "of the products"),
    )
    lines = [
        (
            f"{each.batch:,}",
            *(f"{each.training:,.0f}", f"{each.bfloat16:,.0f}"),
            *(f"{each.per_item:,.0f}", f"{each.products:,.0f}"),
            f"{each.training / each.per_item:.2f}",
            f"{each.training / each.products:.0%}",
        )
        for each in found
    ]
    return table(head, lines)


def _measure(batch: int, repetitions: int, rows: int) -> Speeds:
    pixels = np.random.default_rng(0).integers(0, 256, (rows, 28, 28), dtype=np.uint8)
    works = (
        ours(pixels, batch),
        ours(pixels, batch, "bfloat16"),
        per_item(pixels, batch),
        products(rows, batch),
    )
    for work in works:
        work()  # warm up
    seconds = [min(times) for times in zip(*_rounds(works, repetitions), strict=True)]
    return Speeds(batch, *(rows / each for each in seconds))


def _rounds(works: Sequence[Work], repetitions: int) -> Iterator[list[float]]:
    for _ in range(repetitions):
        yield [_seconds(work) for work in works]


def _seconds(work: Work) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def ours(pixels: Bytes, batch: int, precision: Precision = "float32") -> Work:
    """An epoch of ``vae-train``."""
    spec = InputSpec(kind="image", shape=(28, 28), dtype="uint8", range=(0, 255))
    data = Dataset(torch.from_numpy(pixels), spec)
    config = resolve(
        TrainConfig(
            data="random",
            hidden=(HIDDEN,),
            latent_dim=LATENT_DIM,
            batch_size=batch,
            precision=precision,
        ),
        data,
    )
    state = TrainState.create(build_vae(model_spec(config, data), 0), config, rows=len(data))
    return lambda: run_epoch(state, data.rows, config, 1, Reporter())


def products(rows: int, batch: int) -> Work:
    """The matrix products of an epoch: for each layer its outputs, the gradient of its weights and,
    except for the first layer, the gradient of its inputs.
    """
    layers = [
        (torch.randn(batch, inputs), torch.randn(outputs, inputs), torch.randn(batch, outputs))
        for inputs, outputs in LAYERS
    ]

    def work() -> None:
        for _ in range(rows // batch):
            for x, weight, gradient in layers:
                x @ weight.T
                gradient.T @ x
            for _, weight, gradient in layers[1:]:
                gradient @ weight

    return work


def per_item(pixels: Bytes, batch: int) -> Work:
    """An epoch of the loop that tutorials show."""
    model = _Tutorial()
    optimiser = torch.optim.Adam(model.parameters(), LEARNING_RATE)

    def work() -> float:
        total = 0.0
        for x in DataLoader(_Images(pixels), batch_size=batch, shuffle=True):
            optimiser.zero_grad()
            loss = model(x.flatten(1))
            loss.backward()
            total += loss.item()
            optimiser.step()
        return total

    return work


class _Images(torch.utils.data.Dataset[Tensor]):
    """Converts one image at a time by PIL to floats in [0, 1], as torchvision does."""

    def __init__(self, pixels: Bytes) -> None:
        self._pixels = pixels

    def __len__(self) -> int:
        return len(self._pixels)

    def __getitem__(self, index: int) -> Tensor:
        image = Image.fromarray(self._pixels[index])
        return torch.from_numpy(np.array(image, np.uint8, copy=True)).unsqueeze(0).float() / 255


class _Tutorial(nn.Module):
    """The same network; its forward pass is minus the ELBO of the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(*sizes) for sizes in LAYERS)

    def forward(self, x: Tensor) -> Tensor:
        first, code, second, last = self.layers
        mu, logvar = code(torch.relu(first(x))).chunk(2, dim=1)
        z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        mean = torch.sigmoid(last(torch.relu(second(z))))
        kl = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
        return F.binary_cross_entropy(mean, x, reduction="sum") + kl


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
