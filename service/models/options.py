"""The part of a request that is not an array, one schema a verb."""

import json
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError

from service.errors import InvalidInput
from service.models.noise import MAX_SEED

Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
SEED_DESCRIPTION: Final = "the noise of row i depends on the seed and i alone; null: random"


Given = str | int | list[str | float | list[float]] | None


def _condition(value: Any) -> Given:
    """condition.py interprets it; in a query string a list is JSON."""
    if isinstance(value, str) and value.startswith("["):
        with suppress(ValueError, RecursionError):
            value = json.loads(value)
    if value is None or _is_class(value) or (isinstance(value, list) and all(map(_is_part, value))):
        return value  # type: ignore[no-any-return]
    raise ValueError("is neither a class nor numbers, nor a list of them")


def _is_class(value: Any) -> bool:
    return isinstance(value, str) or type(value) is int  # True is an int, too


def _is_part(value: Any) -> bool:
    if isinstance(value, list):
        return all(type(each) in (int, float) for each in value)
    return _is_class(value) or isinstance(value, float)


Condition = Annotated[Given, PlainValidator(_condition, json_schema_input_type=Given)]
CONDITION_DESCRIPTION: Final = (
    "of a conditional model: a class by name, or by a whole number that is its name, or the list "
    "of numbers that it is told; one for all rows or a list of one a row"
)


class Options(BaseModel):
    """Closed, so that a misspelt option is found and not ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@cache
def _defaults(schema: type[Options]) -> Options:
    return schema()


def parse_options(
    schema: type[Options], values: Mapping[str, Any], query: Mapping[str, str]
) -> Options:
    """The options of a request: ``values`` stand in a JSON body, ``query`` in the query string.

    Raises InvalidInput for an unknown option or a wrong value, and if both have any.
    """
    if values and query:
        raise InvalidInput(
            "there are options in the body and in the query string",
            expected="all of them in one place",
            given=f"body: {', '.join(values)}; query: {', '.join(query)}",
        )
    if not values and not query:
        return _defaults(schema)
    try:
        if query:  # where everything is text
            return schema.model_validate_strings(query)
        return schema.model_validate(values, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(map(str, first["loc"]))
        known = ", ".join(schema.model_fields) or "no options"
        unknown = first["type"] == "extra_forbidden"
        raise InvalidInput(
            f"unknown option {name!r}" if unknown else f"option {name!r}: {first['msg']}",
            expected=known if unknown else schema.model_fields[name].description,
            given=first["input"],
        ) from None


class Conditional(Options):
    """Of every verb, since every network of a conditional model is told the condition."""

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
