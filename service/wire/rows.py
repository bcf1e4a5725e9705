"""The array of a request: what its rows must look like, and the check that they do.

Everything that a caller can get wrong about an array is found here and in the formats, before any
queue, so that a row that reaches a batch cannot spoil it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Final

import numpy as np

from service.arrays import Array, Float32, all_finite
from service.errors import InvalidInput
from vae.manifest import InputSpec, Manifest

SMALL: Final = 8192  # elements; of more, BLAS may share the sum among threads
LARGEST_SQUARE: Final = float(np.finfo(np.float32).max) ** 2


@dataclass(frozen=True, eq=False)
class RowSpec:
    """Rows of the array ``name``, each of ``shape`` or flat, at most ``max_rows``.

    ``image`` is given where a row is a picture, so that one may be sent as a PNG of at most
    ``max_pixels``. A row may come with as many values of a condition as ``told``.
    """

    name: str
    shape: tuple[int, ...]
    max_rows: int
    max_pixels: int
    image: InputSpec | None = None
    told: int = 0

    @cached_property
    def size(self) -> int:
        """Elements in a row."""
        return prod(self.shape)

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
        return self.to_float32(array.reshape(-1, *self.shape))

    def to_float32(self, array: Array) -> Float32:
        """Rows of the right shape as finite float32, without a copy where they are that.

        Raises InvalidInput for NaN and infinity, also those that come of numbers too large.
        """
        if _surely_fits(array):
            rows: Float32 = array.astype(np.float32, copy=False)
        else:
            rows = _cast(array)
            if not all_finite(rows):
                raise self._not_finite(array, rows)
        if not (rows.flags.c_contiguous and rows.flags.aligned):  # engines want it to be
            rows = rows.copy()
        return rows

    def _not_finite(self, array: Array, rows: Float32) -> InvalidInput:
        row, *place = (int(i) for i in np.argwhere(~np.isfinite(rows))[0])
        return InvalidInput(
            f"{self.name}: row {row}, element {tuple(place)} is not a finite float32",
            expected="finite numbers within ±3.4e38",
            given=float(array[(row, *place)]),
        )


def row_specs(manifest: Manifest, *, max_rows: int, max_pixels: int) -> Mapping[str, RowSpec]:
    """What the rows of a request must be, by the name of their array."""
    image = manifest.input
    told, latents = manifest.condition_dim, (manifest.latent_dim,)
    return {
        "inputs": RowSpec("inputs", image.shape, max_rows, max_pixels, image, told),
        "latents": RowSpec("latents", latents, max_rows, max_pixels, told=told),
    }


def _surely_fits(array: Array) -> bool:
    """Whether the sum of squares shows that float32 holds every element as a finite number.

    One pass over a small request; where it cannot tell, the elements are looked at one by one.
    """
    if array.size > SMALL or array.dtype.char not in "fd":  # float32, float64
        return False
    return (
        float(np.vdot(array, array)) <= LARGEST_SQUARE
    )  # unlike other sums, vdot raises no overflow warning


def _cast(array: Array) -> Float32:
    with np.errstate(over="ignore"):  # what overflows is found as infinite
        return array.astype(np.float32, copy=False)
