"""Special functions made of operators that ONNX has, elementwise and accurate in float32.

Each uses a series where the closed form would cancel. Both branches of a ``torch.where`` are
clamped to the range in which they are used, because the gradient of the other branch must be
finite, too.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

SHIFT = 5
"""Stirling's series is used from here on. The first term left out, 1/(1680 y⁷), is 8·10⁻⁹ here."""


def log_sinhc(a: Tensor) -> Tensor:
    """log(sinh(a) / a), continued to 0 at a = 0. Its Taylor series is used for |a| < ½."""
    square = a.abs().clamp(max=0.5).square()
    series = square * (1 / 6 - square * (1 / 180 - square * (1 / 2835 - square / 37800)))
    large = a.abs().clamp(min=0.5)
    closed = large + torch.log1p(-torch.exp(-2 * large)) - torch.log(2 * large)
    return torch.where(a.abs() < 0.5, series, closed)


def langevin(a: Tensor) -> Tensor:
    """The Langevin function coth(a) − 1/a, continued to 0 at a = 0: the derivative of log_sinhc."""
    near = a.clamp(-0.5, 0.5)
    square = near.square()
    series = near * (1 / 3 - square * (1 / 45 - square * (2 / 945 - square / 4725)))
    large = a.abs().clamp(min=0.5)
    closed = torch.sign(a) * (1 / torch.tanh(large) - 1 / large)
    return torch.where(a.abs() < 0.5, series, closed)


def log_sigmoid(a: Tensor) -> Tensor:
    """log(1 / (1 + exp(−a))).

    ``F.logsigmoid`` is exported as Log(Sigmoid(a)), and onnxruntime's Sigmoid is 0 below about
    a = −18.
    """
    return -F.softplus(-a)


def log1mexp(a: Tensor) -> Tensor:
    """log(1 − exp(−a)) for a > 0.

    Two branches, as Mächler 2012 ("Accurately computing log(1 − exp(−|a|))") recommends. ONNX has
    no expm1, so that the branch for small a is log a − a/2 + log_sinhc(a/2), which is the same
    function.
    """
    near = a.clamp(max=1.0)
    series = near.log() - near / 2 + log_sinhc(near / 2)
    return torch.where(a < 1, series, torch.log1p(-torch.exp(-a.clamp(min=1.0))))


def deviance(a: Tensor, b: Tensor) -> Tensor:
    """a log(a / b) + b − a for a ≥ 0 and b > 0, without cancellation if a and b are close.

    It is ``bd0`` of Loader 2000, "Fast and accurate computation of binomial probabilities".
    """
    a = a.clamp(min=1e-10)
    ratio = (a - b) / (a + b)
    v = ratio.clamp(-0.1, 0.1)
    square = v.square()
    tail = 1 / 3 + square * (1 / 5 + square * (1 / 7 + square / 9))
    series = (a - b) * v + 2 * a * v * square * tail
    return torch.where(ratio.abs() < 0.1, series, a * (a / b).log() + b - a)


def log_ratio(a: Tensor, b: Tensor, difference: Tensor) -> Tensor:
    """log(a / b) for a, b > 0, from their ``difference`` a − b if they are close.

    The series of 2 artanh((a − b) / (a + b)). log1p would be as accurate in torch, but is exported
    as Log(1 + x).
    """
    ratio = difference / (a + b)
    v = ratio.clamp(-0.1, 0.1)
    square = v.square()
    series = 2 * v * (1 + square * (1 / 3 + square * (1 / 5 + square * (1 / 7 + square / 9))))
    return torch.where(ratio.abs() < 0.1, series, (a / b).log())


def stirling_excess(y: Tensor) -> Tensor:
    """log Γ(y + 1) − y log y + y for y ≥ 0, which is about ½ log 2πy.

    Below SHIFT it is computed from y + SHIFT by E(y) = E(y + 1) + y log(1 + 1/y) − 1.
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
