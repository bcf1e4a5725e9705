"""The part of a request that is not an array, one schema a verb."""

import json
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from service.noise import MAX_SEED

Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
SEED_DESCRIPTION: Final = "the noise of row i depends on the seed and i alone; null: random"


def _names(value: Any) -> Any:
    """Classes by name, also where they are whole numbers; in a query string a list is JSON."""
    if isinstance(value, str) and value.startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            return value
    if isinstance(value, list):
        return [_name(each) for each in value]
    return _name(value)


def _name(value: Any) -> Any:
    return str(value) if type(value) is int else value  # True is an int, too


Condition = Annotated[
    str | list[str] | None,
    BeforeValidator(_names, json_schema_input_type=str | int | list[str | int] | None),
]
CONDITION_DESCRIPTION: Final = (
    "class of a conditional model by name, or by a whole number that is its name; one for all rows "
    "or a list of one a row"
)


class Options(BaseModel):
    """Closed, so that a misspelt option is found and not ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Conditional(Options):
    """Of every verb, since every network of a conditional model is told the class."""

    condition: Condition = Field(None, description=CONDITION_DESCRIPTION)


class PosteriorOptions(Conditional):
    """Of /encode and /reconstruct."""

    sample: bool = Field(False, description="draw z from q(z|x) instead of taking its mean")
    seed: Seed | None = Field(None, description=SEED_DESCRIPTION)


class DecodeOptions(Conditional):
    """Of /decode."""


class SampleOptions(Conditional):
    """Of /sample."""

    n: Annotated[int, Field(ge=1)] = Field(1, description="how many to draw")
    seed: Seed | None = Field(None, description=SEED_DESCRIPTION)
    temperature: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] = Field(
        1.0, description="factor on the standard deviation of the prior"
    )


class ScoreOptions(Conditional):
    """Of /score."""

    samples: Annotated[int, Field(ge=1)] = Field(
        1, description="draws of z for each row, whose log p(x|z) is averaged"
    )
    seed: Seed | None = Field(0, description=SEED_DESCRIPTION)
