"""Steps that are replayed are the steps that would have been taken, and a graph can hold them.

No GPU is needed: the graph here is one that does the work again, on what was captured.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from training.config.train_config import TrainConfig
from training.data.conditions import with_conditions
from training.data.dataset import Dataset
from training.data.digits import load_digits
from training.loop.cuda_graph import WARM_UPS, CapturedStep
from training.loop.reporter import Reporter
from training.loop.step import train_step
from training.loop.train import EpochTotals, run_epoch
from training.loop.train_state import TrainState
from training.model.build import build_vae
from training.model.resolve import resolve
from training.model.spec import model_spec
from training.objectives.schedules import values_at

ROWS = 300
"""With batches of 64 the last one has 44, which no graph is for."""

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "annealed": {"kl_anneal_epochs": 1.5, "beta": 0.5, "learning_rate_schedule": "cosine"},
    "free bits": {"free_bits": 0.3},
    "capacity": {"capacity": 5.0, "capacity_epochs": 1},
    "several draws": {"objective": "iwae", "draws": 3, "kl_anneal_epochs": 1},
    "dreg": {"objective": "dreg", "draws": 3},
    "correlation": {"objective": "beta-tc", "beta": 4.0},
    "discrepancy": {"objective": "mmd"},
    "binarised": {"binarise": "dynamic"},
    "conditional": {"conditional": True},
    "convolutional": {"network": "conv", "channels": (4, 8), "hidden": (16,)},
    "bfloat16": {"precision": "bfloat16"},
    "averaged": {"ema": 0.9},
    "vamp": {"prior": "vamp", "prior_components": 4},
    "ladder": {"ladder": (2, 2), "free_bits": 0.1},
    "flow": {"posterior": "iaf"},
    "neighbours": {"causal_radius": 1, "causal_channels": 4, "causal_layers": 1},
    "logistic": {"likelihood": "logistic", "logistics": 2},
    "categorical": {"likelihood": "categorical"},
    "optimal": {"likelihood": "gaussian", "variance": "optimal"},
    "learned": {"likelihood": "gaussian", "variance": "learned"},
}

EVERY = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())


class Again:
    """A graph that does the work again."""

    def __init__(self) -> None:
        self.warmed, self.replays = 0, 0

    def warm_up(self, work: Callable[[], Tensor]) -> Tensor:
        self.warmed += 1
        return work()

    def capture(self, work: Callable[[], Tensor]) -> Tensor:
        self._work = work
        self._answer = torch.zeros(6, dtype=torch.float64)
        return self._answer

    def replay(self) -> None:
        self.replays += 1
        self._answer.copy_(self._work())


@pytest.fixture(scope="module")
def digits() -> Dataset:
    data = load_digits()
    return replace(data, x=data.x[:ROWS], labels=data.labels[:ROWS])


def start(data: Dataset, options: dict[str, Any]) -> tuple[TrainState, TrainConfig]:
    given = {"data": "digits", "latent_dim": 4, "batch_size": 64, "epochs": 3}
    config = TrainConfig.model_validate({"hidden": (16,), **given, **options})
    config = resolve(config, data)
    return TrainState.create(build_vae(model_spec(config, data), 0), config, rows=len(data)), config


def train(
    data: Dataset, state: TrainState, config: TrainConfig
) -> tuple[list[Tensor], list[EpochTotals]]:
    """The weights after three epochs, and each epoch's figures."""
    rows = with_conditions(data, state.vae.spec)
    totals = [run_epoch(state, rows, config, epoch, Reporter()) for epoch in (1, 2, 3)]
    return list(state.eval_vae.state_dict().values()), totals


@EVERY
def test_replayed_steps_are_the_steps(options: dict[str, Any], digits: Dataset) -> None:
    graph = Again()
    state, config = start(digits, options)
    weights, totals = train(digits, state, config)
    state, config = start(digits, options)
    state = replace(state, captured_step=CapturedStep(graph, config.batch_size))
    weights_again, totals_again = train(digits, state, config)
    assert (graph.warmed, graph.replays) == (WARM_UPS, 3 * (ROWS // 64) - WARM_UPS)
    for once, again in zip(totals, totals_again, strict=True):
        assert (once.steps, once.rows, once.last) == (again.steps, again.rows, again.last)
        assert again.loss == pytest.approx(once.loss, rel=1e-5)
    for weight, again in zip(weights, weights_again, strict=True):
        # A learning rate that is a tensor has 24 bits, as one that is a number does not.
        torch.testing.assert_close(again, weight, rtol=1e-4, atol=1e-5)


class NoHost(TorchDispatchMode):
    """Refuses what a graph cannot hold: reading a value, and tensors made from the host's."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket.__name__ in ("_local_scalar_dense", "lift_fresh", "nonzero"):
            raise AssertionError(f"{func} goes by way of the host")
        return func(*args, **(kwargs or {}))


class Captured(Again):
    """A graph that looks at the work while it captures it."""

    captured = False

    def capture(self, work: Callable[[], Tensor]) -> Tensor:
        with NoHost():
            answer = work()
        self.captured = True
        return answer

    def replay(self) -> None:
        pass


@EVERY
def test_a_step_never_goes_by_way_of_the_host(options: dict[str, Any], digits: Dataset) -> None:
    state, config = start(digits, options)
    rows = with_conditions(digits, state.vae.spec)
    batch = next(iter(rows.batches(64, 0, 1, state.group)))
    graph = Captured()
    state = replace(state, captured_step=CapturedStep(graph, 64))
    for number in range(WARM_UPS + 1):
        train_step(state, batch, values_at(config, number / 5), torch.Generator().manual_seed(0))
    assert graph.captured
