"""The section ``input``: shape, type and range of one row of the data."""

import math
from typing import Annotated, Literal, Self

from pydantic import Field, FiniteFloat, PositiveInt, model_validator

from vae.manifest.section import Section


class InputSpec(Section):
    """One row of x in the units of the data, as clients send it.

    - ``shape`` is (D,) for a vector and (H, W) or (H, W, 3) for an image, channels last as in PNG.
    - ``dtype`` is the type of the training data.
    - ``range`` is the (low, high) of a bounded value, such as an image's black and white.
    - ``columns`` names the elements of a vector that comes from a table.
    """

    kind: Literal["image", "vector"]
    shape: Annotated[tuple[PositiveInt, ...], Field(min_length=1, max_length=3)]
    dtype: Literal["uint8", "float32"]
    range: tuple[FiniteFloat, FiniteFloat] | None = None
    columns: tuple[str, ...] | None = None

    @property
    def size(self) -> int:
        """The number of elements in one row."""
        return math.prod(self.shape)

    @property
    def levels(self) -> int | None:
        """The number of values an element can have; None unless they are integers in a range."""
        if self.dtype != "uint8" or self.range is None:
            return None
        return round(self.range[1] - self.range[0]) + 1

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.kind == "vector" and len(self.shape) != 1:
            raise ValueError(f"a vector needs a shape of one dimension, (D,); given {self.shape}")
        if self.kind == "image" and not (len(self.shape) == 2 or self.shape[2:] == (3,)):
            raise ValueError(f"an image needs shape (H, W) or (H, W, 3); given {self.shape}")
        if self.range is not None and self.range[0] >= self.range[1]:
            raise ValueError(f"range must be (low, high) with low < high; given {self.range}")
        if self.columns is not None and (len(self.columns),) != self.shape:
            raise ValueError(
                f"columns must name every element of shape {self.shape}; "
                f"given {len(self.columns)} names"
            )
        return self
