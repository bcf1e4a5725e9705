"""Numbers that change as training goes on: pure functions of the time since it began, in epochs.

Time is a step's number over the steps of an epoch, so that a schedule reads the same whatever the
batch size, and a resumed run needs nothing stored to be where it was.
"""

import math
from typing import NamedTuple

from torch import Tensor

from training.config.options import TrainConfig

SIGMOID_WIDTH = 12.5
"""The rise of Bowman et al. 2016 goes from 0.002 to 0.998 of its height: ±6.25 of the logistic."""

STAGES = 8
"""Stages of Burda et al. 2016, section 5: 3^i epochs at a rate of 10^(−i/7), i = 0 … 7."""


class Now(NamedTuple):
    """What holds at one moment of a run: numbers, or tensors of one number, which a step that is
    captured reads anew.
    """

    beta: float | Tensor
    capacity: float | Tensor
    learning_rate: float | Tensor


def at(config: TrainConfig, time: float, decay: float = 1.0) -> Now:
    """What holds ``time`` epochs after a resolved config's start; ``decay`` is what plateaus left
    of the learning rate.
    """
    return Now(
        beta=config.beta * kl_share(config, time),
        capacity=config.capacity * linear(time, config.capacity_epochs),
        learning_rate=config.learning_rate
        * decay
        * linear(time, config.warmup_epochs)
        * learning_rate_share(config, time),
    )


def at_the_end(config: TrainConfig) -> Now:
    """What a run is after, and is judged by: every weight at its full height."""
    return Now(config.beta, config.capacity, config.learning_rate)


def kl_share(config: TrainConfig, time: float) -> float:
    """The part of beta that counts.

    A low weight at first lets the decoder learn to use z before the KL term can switch latents off.
    """
    match config.kl_schedule:
        case "linear":
            return linear(time, config.kl_anneal_epochs)
        case "cyclical":
            return cyclical(time, config.kl_anneal_epochs, config.kl_cycles)
        case "sigmoid":
            return sigmoid(time, config.kl_anneal_epochs)


def learning_rate_share(config: TrainConfig, time: float) -> float:
    """The part of the learning rate that counts, warm-up and plateaus apart."""
    match config.learning_rate_schedule:
        case "constant" | "plateau":
            return 1.0
        case "cosine":
            return cosine(time, config.epochs)
        case "staircase":
            return staircase(time, config.epochs)


def linear(time: float, length: float) -> float:
    """A straight line from 0 that reaches 1 after ``length`` and stays (Bowman et al. 2016)."""
    return 1.0 if time >= length else time / length


def cyclical(time: float, length: float, cycles: int) -> float:
    """``cycles`` times a straight line from 0 to 1, then 1 for as long, in all ``length``.

    Equation 6 of Fu et al. 2019 with R = ½; after the last cycle it stays at 1.
    """
    if time >= length:
        return 1.0
    return min(1.0, 2 * (time * cycles / length % 1.0))


def sigmoid(time: float, length: float) -> float:
    """The logistic curve that rises within ``length`` (Bowman et al. 2016, figure 2)."""
    return 1 / (1 + math.exp(SIGMOID_WIDTH * (0.5 - min(1.0, time / length))))


def cosine(time: float, length: float) -> float:
    """Half a cosine from 1 to 0 (Loshchilov and Hutter 2017, equation 5 without restarts)."""
    return 0.5 * (1 + math.cos(math.pi * min(1.0, time / length)))


def staircase(time: float, length: float) -> float:
    """The stages of Burda et al. 2016, stretched to ``length``; as published with 3,280 epochs.

    Stage i ends after 1 + 3 + … + 3^i = (3^(i+1) − 1) / 2 of the 3,280.
    """
    published = time / length * (3**STAGES - 1) / 2
    stage = next((i for i in range(STAGES) if published < (3 ** (i + 1) - 1) / 2), STAGES - 1)
    return float(10 ** (-stage / (STAGES - 1)))
