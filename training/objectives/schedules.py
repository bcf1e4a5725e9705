"""Schedules of β, the capacity and the learning rate: pure functions of the training time.

Time is measured in epochs: a step's number divided by the steps per epoch. Therefore schedules do
not depend on the batch size, and a resumed run needs no stored schedule state.
"""

import math
from typing import NamedTuple

from torch import Tensor

from training.config.train_config import TrainConfig

SIGMOID_WIDTH = 12.5
"""The sigmoid of Bowman et al. 2016 rises from 0.002 to 0.998: ±6.25 of the logistic curve."""

STAGES = 8
"""Stages of Burda et al. 2016, section 5: 3^i epochs at a rate of 10^(−i/7), i = 0 … 7."""


class ScheduledValues(NamedTuple):
    """The values of a step: numbers, or scalar tensors if the step is captured as a CUDA graph."""

    beta: float | Tensor
    capacity: float | Tensor
    learning_rate: float | Tensor


def values_at(config: TrainConfig, time: float, plateau_factor: float = 1.0) -> ScheduledValues:
    """The values ``time`` epochs after the start of training, from a resolved config.

    ``plateau_factor`` is the part of the learning rate that plateaus have left.
    """
    return ScheduledValues(
        beta=config.beta * kl_weight(config, time),
        capacity=config.capacity * linear(time, config.capacity_epochs),
        learning_rate=config.learning_rate
        * plateau_factor
        * linear(time, config.warmup_epochs)
        * learning_rate_factor(config, time),
    )


def final_values(config: TrainConfig) -> ScheduledValues:
    """The values that a run is validated with: β, capacity and learning rate at full height."""
    return ScheduledValues(config.beta, config.capacity, config.learning_rate)


def kl_weight(config: TrainConfig, time: float) -> float:
    """The factor on β, 0 to 1 (KL annealing).

    A low weight at the start lets the decoder learn to use z before the KL term can switch latents
    off.
    """
    match config.kl_schedule:
        case "linear":
            return linear(time, config.kl_anneal_epochs)
        case "cyclical":
            return cyclical(time, config.kl_anneal_epochs, config.kl_cycles)
        case "sigmoid":
            return sigmoid(time, config.kl_anneal_epochs)


def learning_rate_factor(config: TrainConfig, time: float) -> float:
    """The factor on the learning rate, without warm-up and plateaus."""
    match config.learning_rate_schedule:
        case "constant" | "plateau":
            return 1.0
        case "cosine":
            return cosine(time, config.epochs)
        case "staircase":
            return staircase(time, config.epochs)


def linear(time: float, length: float) -> float:
    """Rise linearly from 0 to 1 over ``length``, then stay at 1 (Bowman et al. 2016)."""
    return 1.0 if time >= length else time / length


def cyclical(time: float, length: float, cycles: int) -> float:
    """In each of ``cycles`` cycles rise linearly from 0 to 1, then stay at 1 for the same time.

    All cycles together take ``length``; afterwards the factor stays at 1 (Fu et al. 2019,
    equation 6 with R = ½).
    """
    if time >= length:
        return 1.0
    return min(1.0, 2 * (time * cycles / length % 1.0))


def sigmoid(time: float, length: float) -> float:
    """Rise from 0 to 1 along a logistic curve over ``length`` (Bowman et al. 2016, figure 2)."""
    return 1 / (1 + math.exp(SIGMOID_WIDTH * (0.5 - min(1.0, time / length))))


def cosine(time: float, length: float) -> float:
    """Fall from 1 to 0 along half a cosine (Loshchilov and Hutter 2017, equation 5)."""
    return 0.5 * (1 + math.cos(math.pi * min(1.0, time / length)))


def staircase(time: float, length: float) -> float:
    """The stages of Burda et al. 2016, scaled from their 3,280 epochs to ``length``.

    Stage i ends after 1 + 3 + … + 3^i = (3^(i+1) − 1) / 2 of the 3,280 epochs.
    """
    published = time / length * (3**STAGES - 1) / 2
    stage = next((i for i in range(STAGES) if published < (3 ** (i + 1) - 1) / 2), STAGES - 1)
    return float(10 ** (-stage / (STAGES - 1)))
