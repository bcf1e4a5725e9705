"""What the calls return. Arrays have one element or row for each row of the request."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Encoding:
    """q(z|x) of each row: a Gaussian with diagonal covariance, or what a model bends one to.

    ``mu`` and ``logvar`` are (rows, latent_dim); ``z`` is one draw from each, when asked for.
    A model with a flow or a ladder, whose mu is no latent to decode, always gives ``z``: without
    ``sample`` the one that stands for the row.
    """

    mu: FloatArray
    logvar: FloatArray
    z: FloatArray | None = None


@dataclass(frozen=True, eq=False)
class Samples:
    """``outputs``, (n, *shape), decoded from ``latents``, (n, latent_dim), drawn from p(z)."""

    outputs: FloatArray
    latents: FloatArray


@dataclass(frozen=True, eq=False)
class Scores:
    """How well the model explains each row: (rows,) each, in nats.

    ``elbo`` = ``reconstruction`` − ``kl`` bounds log p(x) from below. ``p_value`` is the share of
    the model's held-out data that scores no better: near 0, the row is unlike what it was trained
    on.
    """

    elbo: FloatArray
    reconstruction: FloatArray
    kl: FloatArray
    p_value: FloatArray


@dataclass(frozen=True)
class ModelInfo:
    """One version of a model on the server.

    ``shape`` is that of one row of x, ``kind`` is "image" or "vector". ``description`` is all that
    the server says of it: value range, columns, likelihood, network, metrics.
    """

    name: str
    version: int
    versions: tuple[int, ...]
    kind: str
    shape: tuple[int, ...]
    latent_dim: int
    description: Mapping[str, Any]
