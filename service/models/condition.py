"""The condition of a conditional model: from what a request has to an array."""

from typing import Final

import numpy as np

from service.arrays import Float32
from service.errors import InvalidInput
from service.models.options import Given
from vae.manifest import ClassCondition, Condition, VectorCondition

LARGEST: Final = float(np.finfo(np.float32).max)


def conditions(told: Condition | None, given: Given, rows: int) -> tuple[Float32, ...]:
    """c, (rows, condition_dim), as the graphs take it, or nothing for a model without a condition.

    ``given`` is one condition for all rows or one a row: a class by name, or numbers. Raises
    InvalidInput, saying what is expected, when it is missing, is no condition of this model, or is
    of another number of rows.
    """
    if told is None:
        if given is not None:
            raise InvalidInput("this model has no condition", given=given)
        return ()
    if given is None:
        raise InvalidInput("this model needs a condition", expected=_expected(told))
    match told:
        case ClassCondition():
            return (_places(told, given, rows),)
        case VectorCondition():
            return (_numbers(told, given, rows),)


def _expected(told: Condition) -> str:
    names = ", ".join(told.names)
    match told:
        case ClassCondition():
            return f"one of {names}, or one a row"
        case VectorCondition():
            return f"numbers for {names}, or a list of such lists, one a row"


def _places(told: ClassCondition, given: Given, rows: int) -> Float32:
    """1 at the place of each row's class and 0 elsewhere."""
    names = given if isinstance(given, list) else [given] * rows
    if len(names) != rows:
        raise InvalidInput(
            f"condition has {len(names)} classes for {rows} rows", expected=_expected(told)
        )
    c = np.zeros((rows, len(told.names)), np.float32)
    places = {name: place for place, name in enumerate(told.names)}
    for row, name in enumerate(names):
        place = None if isinstance(name, list | float) else places.get(str(name))
        if place is None:
            raise InvalidInput(
                "condition is no class of this model", expected=_expected(told), given=name
            )
        c[row, place] = 1
    return c


def _numbers(told: VectorCondition, given: Given, rows: int) -> Float32:
    """The numbers of each row."""
    one_a_row = isinstance(given, list) and any(isinstance(part, list) for part in given)
    vectors = given if isinstance(given, list) and one_a_row else [given]
    if one_a_row and len(vectors) != rows:
        raise InvalidInput(
            f"condition has {len(vectors)} lists for {rows} rows", expected=_expected(told)
        )
    c = np.empty((len(vectors), len(told.names)), np.float32)
    for row, vector in enumerate(vectors):
        if not _is_vector(vector, len(told.names)):
            raise InvalidInput(
                "condition does not match the numbers that this model expects",
                expected=_expected(told),
                given=vector,
            )
        c[row] = vector
    return c if one_a_row else np.repeat(c, rows, axis=0)


def _is_vector(value: object, size: int) -> bool:
    """Whether it is a list of so many numbers that float32 holds."""
    return (
        isinstance(value, list)
        and len(value) == size
        and all(isinstance(each, int | float) and abs(each) <= LARGEST for each in value)
    )
