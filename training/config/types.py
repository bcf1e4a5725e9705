"""Types of options. Flags and environment variables give tuples as text."""

import re
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PositiveInt,
    StringConstraints,
)

from vae.manifest import PositiveVariance


def split_numbers(value: Any) -> Any:
    """``"28x28"``, ``"256,128"`` and ``""`` as tuples of numbers."""
    if not isinstance(value, str):
        return value
    return tuple(re.split(r"[,x×]", value)) if value else ()


def split_names(value: Any) -> Any:
    """``"a,b"`` as a tuple of names."""
    return tuple(value.split(",")) if isinstance(value, str) else value


Widths = Annotated[tuple[PositiveInt, ...], BeforeValidator(split_numbers)]

Size = Annotated[tuple[PositiveInt, PositiveInt], BeforeValidator(split_numbers)]

Names = Annotated[tuple[str, ...], BeforeValidator(split_names)]

Pair = Annotated[
    tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]],
    BeforeValidator(split_numbers),
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
