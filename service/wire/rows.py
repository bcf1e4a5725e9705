"""The array of a request: what its rows must look like, and the check that they do.

Everything that a caller can get wrong about an array is found here and in the formats, before any
queue, so that a row that reaches a batch cannot spoil it.
"""

from dataclasses import dataclass

import numpy as np

from service.arrays import Array, Float32
from service.errors import InvalidInput
from vae.manifest import InputSpec


@dataclass(frozen=True)
class RowSpec:
    """Rows of the array ``name``, each of ``shape`` or flat, at most ``max_rows``.

    ``image`` is given where a row is a picture, so that one may be sent as a PNG of at most
    ``max_pixels``.
    """

    name: str
    shape: tuple[int, ...]
    max_rows: int
    max_pixels: int
    image: InputSpec | None = None

    @property
    def size(self) -> int:
        """Elements in a row."""
        return int(np.prod(self.shape))

    def describe(self) -> str:
        """The expected shapes, for an error."""
        shapes = [f"(rows, {', '.join(map(str, self.shape))})"]
        if len(self.shape) > 1:
            shapes.append(f"(rows, {self.size})")
        return " or ".join(shapes)

    def check_count(self, rows: int) -> None:
        """Raises InvalidInput unless 1 ≤ ``rows`` ≤ ``max_rows``."""
        if not 1 <= rows <= self.max_rows:
            raise InvalidInput(
                f"{self.name} has {rows} rows", expected=f"1 to {self.max_rows} rows", given=rows
            )

    def check(self, array: Array) -> Float32:
        """``array`` as finite float32 of shape (rows, *shape), without a copy where it is that.

        Raises InvalidInput for another shape, a type that is no real number, or NaN and infinity,
        also those that come of numbers too large for float32.
        """
        if array.dtype.kind not in "fiu":
            raise InvalidInput(
                f"{self.name} has dtype {array.dtype}", expected="a float or integer dtype"
            )
        if array.ndim == 0 or array.shape[1:] not in (self.shape, (self.size,)):
            raise InvalidInput(
                f"{self.name} has the wrong shape", expected=self.describe(), given=array.shape
            )
        self.check_count(len(array))
        with np.errstate(over="ignore"):
            rows = np.ascontiguousarray(array, dtype=np.float32).reshape(-1, *self.shape)
        self._check_finite(rows)
        return rows

    def _check_finite(self, rows: Float32) -> None:
        finite = np.isfinite(rows)
        if not finite.all():
            row, *place = (int(i) for i in np.argwhere(~finite)[0])
            raise InvalidInput(
                f"{self.name}: row {row}, element {tuple(place)} is not a finite float32",
                expected="finite numbers within ±3.4e38",
                given=float(rows[(row, *place)]),
            )
