"""Types of option values, with the text forms that a shell and the environment have."""

import re
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PositiveInt,
    StringConstraints,
)

from vae.manifest import PositiveVariance


def _listed(value: Any) -> Any:
    """``"28x28"``, ``"256,128"`` and ``""`` as a shell and an environment variable have them."""
    if not isinstance(value, str):
        return value
    return tuple(re.split(r"[,x×]", value)) if value else ()


def _named(value: Any) -> Any:
    return tuple(value.split(",")) if isinstance(value, str) else value


Widths = Annotated[tuple[PositiveInt, ...], BeforeValidator(_listed)]


Size = Annotated[tuple[PositiveInt, PositiveInt], BeforeValidator(_listed)]


Names = Annotated[tuple[str, ...], BeforeValidator(_named)]


Pair = Annotated[
    tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]],
    BeforeValidator(_listed),
]


Share = Annotated[float, Field(ge=0, lt=1)]


LikelihoodName = Literal[
    "bernoulli",
    "continuous-bernoulli",
    "gaussian",
    "categorical",
    "logistic",
    "poisson",
    "negative-binomial",
]


Variance = Literal["unit", "learned", "optimal", "per-element", "decoder"] | PositiveVariance


Precision = Literal["float32", "tf32", "bfloat16"]


Device = Annotated[str, StringConstraints(pattern=r"^(cpu|cuda(:\d+)?)$")]


LoggerName = Literal["tensorboard", "mlflow"]


Scaling = Literal["range", "standardise", "none"]
