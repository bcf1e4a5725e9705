"""The results of the calls. Arrays have one element or row for each row of the request."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Encoding:
    """q(z|x) of each row: a Gaussian with diagonal covariance, transformed if the model has a flow.

    ``mu`` and ``logvar`` are (rows, latent_dim); ``z`` is one draw for each row if ``sample``.
    For a model with a flow or a ladder, whose mu is not a latent that can be decoded, ``z`` is
    always present; without ``sample`` it is the deterministic latent of the row.
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
    """The scores of each row: (rows,) each, in nats.

    ``elbo`` = ``reconstruction`` − ``kl`` is a lower bound of log p(x). ``p_value`` is the share of
    the model's held-out rows with a score as low or lower: if it is near 0, the row is unlike the
    training data.
    """

    elbo: FloatArray
    reconstruction: FloatArray
    kl: FloatArray
    p_value: FloatArray


@dataclass(frozen=True)
class ModelInfo:
    """One version of a model on the server.

    ``shape`` is the shape of one row of x, ``kind`` is "image" or "vector". ``description`` is the
    server's whole description: value range, columns, likelihood, network, metrics.
    """

    name: str
    version: int
    versions: tuple[int, ...]
    kind: str
    shape: tuple[int, ...]
    latent_dim: int
    description: Mapping[str, Any]
