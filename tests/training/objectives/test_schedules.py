"""Schedules at the moments that define them."""

import math
from typing import Any

import pytest

from training.config.train_config import TrainConfig
from training.objectives.schedules import (
    cosine,
    cyclical,
    final_values,
    linear,
    sigmoid,
    staircase,
    values_at,
)


def config(**options: Any) -> TrainConfig:
    return TrainConfig.model_validate({"data": "x", "epochs": 100, "beta": 2.0, **options})


@pytest.mark.parametrize(("time", "share"), [(0, 0), (1, 0.1), (5, 0.5), (10, 1), (11, 1)])
def test_a_straight_line_rises_and_stays(time: float, share: float) -> None:
    assert linear(time, 10) == pytest.approx(share)


def test_without_a_length_it_is_whole_from_the_first_step() -> None:
    assert linear(0, 0) == 1


def test_cycles_rise_for_half_of_their_length() -> None:
    times = (0, 1, 2.5, 4, 5, 6, 7.5, 10, 11)
    shares = [cyclical(time, 10, cycles=2) for time in times]
    assert shares == pytest.approx([0, 0.4, 1, 1, 0, 0.4, 1, 1, 1])


def test_the_logistic_curve_goes_from_almost_nothing_to_almost_all() -> None:
    assert [sigmoid(time, 8) for time in (0, 4, 8, 80)] == pytest.approx(
        [0.0019, 0.5, 0.9981, 0.9981], abs=1e-4
    )


def test_the_cosine_falls_to_nothing() -> None:
    assert [cosine(time, 6) for time in (0, 3, 6, 7)] == pytest.approx([1, 0.5, 0, 0])


def test_the_staircase_is_the_published_one_with_the_published_epochs() -> None:
    ends = [(3 ** (i + 1) - 1) / 2 for i in range(8)]
    assert ends[-1] == 3280
    for i, end in enumerate(ends):
        assert staircase(end - 0.5, 3280) == pytest.approx(10 ** (-i / 7))
        assert staircase((end - 0.5) / 10, 328) == pytest.approx(10 ** (-i / 7))


@pytest.mark.parametrize(
    ("options", "time", "beta"),
    [
        ({}, 0, 2.0),
        ({"kl_anneal_epochs": 4}, 1, 0.5),
        ({"kl_anneal_epochs": 4, "kl_schedule": "sigmoid"}, 2, 1.0),
        ({"kl_anneal_epochs": 8, "kl_schedule": "cyclical"}, 3, 2.0),
        ({"kl_anneal_epochs": 8, "kl_schedule": "cyclical", "kl_cycles": 1}, 2, 1.0),
    ],
)
def test_beta_follows_its_schedule(options: dict[str, Any], time: float, beta: float) -> None:
    assert values_at(config(**options), time).beta == pytest.approx(beta)


def test_the_capacity_rises_with_time() -> None:
    rising = config(capacity=20.0, capacity_epochs=10)
    assert [values_at(rising, time).capacity for time in (0, 5, 50)] == [0, 10, 20]
    assert final_values(rising).capacity == 20


@pytest.mark.parametrize(
    ("options", "time", "rate"),
    [
        ({}, 50, 1.0),
        ({"warmup_epochs": 10}, 5, 0.5),
        ({"learning_rate_schedule": "cosine"}, 50, 0.5),
        ({"learning_rate_schedule": "cosine", "warmup_epochs": 100}, 50, 0.25),
        ({"learning_rate_schedule": "staircase"}, 99, 0.1),
        ({"learning_rate_schedule": "plateau"}, 99, 1.0),
    ],
)
def test_the_learning_rate_follows_its_schedule(
    options: dict[str, Any], time: float, rate: float
) -> None:
    assert values_at(config(learning_rate=1.0, **options), time).learning_rate == pytest.approx(
        rate
    )
    assert values_at(
        config(learning_rate=1.0, **options), time, plateau_factor=0.5
    ).learning_rate == (pytest.approx(0.5 * rate))


def test_the_end_has_everything_at_its_height() -> None:
    annealed = config(kl_anneal_epochs=math.pi, learning_rate_schedule="cosine")
    assert final_values(annealed).beta == 2.0
