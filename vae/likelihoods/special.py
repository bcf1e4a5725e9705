"""Special functions in operators that ONNX has, accurate in float32 and finite where x is.

Each joins a series to a closed form where the other would cancel. Both sides of a ``torch.where``
are clamped to where they are used: the gradient of the side not taken must be finite as well.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

SHIFT = 5
"""Stirling's series is used from here on: its first term left out is 8·10⁻⁹."""


def log_sinhc(a: Tensor) -> Tensor:
    """log(sinh(a) / a), which is 0 at 0."""
    square = a.abs().clamp(max=0.5).square()
    series = square * (1 / 6 - square * (1 / 180 - square * (1 / 2835 - square / 37800)))
    large = a.abs().clamp(min=0.5)
    closed = large + torch.log1p(-torch.exp(-2 * large)) - torch.log(2 * large)
    return torch.where(a.abs() < 0.5, series, closed)


def langevin(a: Tensor) -> Tensor:
    """coth(a) − 1/a, the derivative of log_sinhc: from −1 to 1, and 0 at 0."""
    near = a.clamp(-0.5, 0.5)
    square = near.square()
    series = near * (1 / 3 - square * (1 / 45 - square * (2 / 945 - square / 4725)))
    large = a.abs().clamp(min=0.5)
    closed = torch.sign(a) * (1 / torch.tanh(large) - 1 / large)
    return torch.where(a.abs() < 0.5, series, closed)


def log_sigmoid(a: Tensor) -> Tensor:
    """log(1 / (1 + exp(−a))).

    That of torch becomes Log(Sigmoid(a)) in an ONNX graph, and onnxruntime's Sigmoid is 0 from
    about a = −18 down.
    """
    return -F.softplus(-a)


def log1mexp(a: Tensor) -> Tensor:
    """log(1 − exp(−a)) for a > 0 (Mächler 2012)."""
    near = a.clamp(max=1.0)
    series = near.log() - near / 2 + log_sinhc(near / 2)
    return torch.where(a < 1, series, torch.log1p(-torch.exp(-a.clamp(min=1.0))))


def deviance(a: Tensor, b: Tensor) -> Tensor:
    """a log(a / b) + b − a for a ≥ 0 and b > 0, without cancellation where they are close.

    The ``bd0`` of Loader 2000, "Fast and accurate computation of binomial probabilities".
    """
    a = a.clamp(min=1e-10)
    ratio = (a - b) / (a + b)
    v = ratio.clamp(-0.1, 0.1)
    square = v.square()
    tail = 1 / 3 + square * (1 / 5 + square * (1 / 7 + square / 9))
    series = (a - b) * v + 2 * a * v * square * tail
    return torch.where(ratio.abs() < 0.1, series, a * (a / b).log() + b - a)


def log_ratio(a: Tensor, b: Tensor, difference: Tensor) -> Tensor:
    """log(a / b) for positive a and b, from their ``difference`` a − b where they are close.

    2 artanh((a − b) / (a + b)) keeps what log1p would, which is log(1 + x) in an ONNX graph.
    """
    ratio = difference / (a + b)
    v = ratio.clamp(-0.1, 0.1)
    square = v.square()
    series = 2 * v * (1 + square * (1 / 3 + square * (1 / 5 + square * (1 / 7 + square / 9))))
    return torch.where(ratio.abs() < 0.1, series, (a / b).log())


def stirling_excess(y: Tensor) -> Tensor:
    """log Γ(y + 1) − y log y + y for y ≥ 0: what Stirling's leading terms leave, ½ log 2πy or so.

    Below SHIFT by the recurrence from y + SHIFT.
    """
    low = y < SHIFT
    start = y.clamp(1e-10, float(SHIFT))
    steps = [(start + i) * torch.log1p(1 / (start + i)) - 1 for i in range(SHIFT)]
    t = torch.where(low, y + SHIFT, y)
    inverse = 1 / t
    square = inverse.square()
    correction = inverse * (1 / 12 - square * (1 / 360 - square / 1260))
    series = 0.5 * (2 * math.pi * t).log() + correction
    return series + torch.where(low, torch.stack(steps).sum(dim=0), 0.0)
