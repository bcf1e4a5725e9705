"""The condition of a conditional model: from class names in a request to an array."""

import numpy as np

from service.arrays import Float32
from service.errors import InvalidInput
from service.options import Condition
from vae.manifest import Classes


def conditions(classes: Classes | None, given: Condition, rows: int) -> tuple[Float32, ...]:
    """c, (rows, classes), as the graphs take it, or nothing for a model without a condition.

    ``given`` is one class for all rows or one a row, by name. Raises InvalidInput, naming the
    classes, when it is missing, is none of them, or is of another number of rows.
    """
    if classes is None:
        if given is not None:
            raise InvalidInput("this model has no condition", given=given)
        return ()
    expected = f"one of {', '.join(classes.names)}, or one a row"
    if given is None:
        raise InvalidInput("this model needs a condition", expected=expected)
    names = given if isinstance(given, list) else [given] * rows
    if len(names) != rows:
        raise InvalidInput(f"condition has {len(names)} classes for {rows} rows", expected=expected)
    c = np.zeros((rows, len(classes.names)), np.float32)
    places = {name: place for place, name in enumerate(classes.names)}
    for row, name in enumerate(names):
        if name not in places:
            raise InvalidInput("condition is no class of this model", expected=expected, given=name)
        c[row, places[name]] = 1
    return (c,)
