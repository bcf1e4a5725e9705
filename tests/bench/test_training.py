"""The benchmarks of training."""

from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode

from bench import processes, training
from bench.training import Speeds


def test_training_is_measured_beside_two_references() -> None:
    found = training.measure(repetitions=1, rows=512)
    assert [each.batch for each in found] == list(training.BATCHES)
    assert all(min(astuple(each)) > 0 for each in found)


def test_ratios_of_training_are_those_of_float32() -> None:
    speeds = Speeds(batch=2048, training=50_000, bfloat16=60_000, per_item=20_000, products=62_500)
    assert training.markdown([speeds]).splitlines()[-1] == (
        "| 2,048 | 50,000 | 60,000 | 20,000 | 62,500 | 2.50 | 80% |"
    )


def test_one_process_trains_as_torchrun_starts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "BUILD", tmp_path)
    monkeypatch.setattr(processes, "PROCESSES", (1,))
    (found,) = processes.measure(batches=(128,), rows=512, epochs=1)
    assert (found.batch, found.processes) == (128, 1)
    assert found.images > 0
    assert processes.markdown([found, found._replace(processes=2)]).endswith("| 1.00 |")


def test_the_bare_products_are_those_of_every_layer_forwards_and_backwards() -> None:
    counted = []

    class Counting(TorchFunctionMode):
        def __torch_function__(
            self, function: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if function is torch.Tensor.matmul or function is torch.Tensor.__matmul__:
                (rows, inner), (_, columns) = args[0].shape, args[1].shape
                counted.append(rows * inner * columns)
            return function(*args, **(kwargs or {}))

    work = training.products(rows=64, batch=32)
    with Counting():
        work()
    weights = [inputs * outputs for inputs, outputs in training.LAYERS]
    assert sum(counted) == 64 * (3 * sum(weights) - weights[0])
