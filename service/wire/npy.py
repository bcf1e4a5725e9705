"""NumPy's .npy format: one array, no options.

Specification: numpy.lib.format. The header's claim is checked against the bytes that came before
any memory is spent on it, and the array is a view of the body. No pickled objects.
"""

from functools import lru_cache
from io import BytesIO
from math import prod
from typing import Any, Final, Literal

import numpy as np
from numpy.lib import format as npy_format

from service.arrays import Array, Arrays, Float32
from service.errors import InvalidInput, Malformed
from service.wire.rows import RowSpec
from vae.manifest import InputSpec

HEADER_START: Final = {b"\x01\x00": 10, b"\x02\x00": 12}  # by version: magic, version and length
MAX_HEADER_BYTES: Final = 64 * 1024


def read(body: bytes, spec: RowSpec) -> tuple[Float32, dict[str, str]]:
    """The rows of ``spec``. Raises Malformed when the body is no whole .npy file."""
    return spec.check(_parse(body)), {}


def write(arrays: Arrays, image: InputSpec) -> bytes:  # noqa: ARG001 (every format has this signature)
    """The first array."""
    array = next(iter(arrays.values()))
    return _header(array.shape) + array.data


@lru_cache(maxsize=64)
def _header(shape: tuple[int, ...]) -> bytes:
    """The header of a float32 array; clients get the same few again and again."""
    stream = BytesIO()
    described = {"descr": "<f4", "fortran_order": False, "shape": shape}
    npy_format.write_array_header_1_0(stream, described)
    return stream.getvalue()


def _parse(body: bytes) -> Array:
    start = HEADER_START.get(body[6:8], len(body))
    if len(body) <= start:
        raise Malformed("the body is not an .npy file of version 1 or 2: it has no header")
    data_start = start + int.from_bytes(body[8:start], "little")
    if data_start - start > MAX_HEADER_BYTES:
        raise Malformed(f"the .npy header claims {data_start - start} bytes")
    shape, order, dtype = _layout(body[:data_start])
    size = len(body) - data_start
    if prod(shape) * dtype.itemsize != size:
        raise Malformed(
            "the .npy header and the data differ in size",
            expected=f"{prod(shape) * dtype.itemsize} bytes for {shape} of {dtype}",
            given=f"{size} bytes",
        )
    try:
        return np.frombuffer(body, dtype, offset=data_start).reshape(shape, order=order)
    except (ValueError, TypeError) as error:  # True for a size, more dimensions than there can be
        raise Malformed(f"the shape of the .npy header: {error}") from None


@lru_cache(maxsize=64)
def _layout(header: bytes) -> tuple[tuple[int, ...], Literal["C", "F"], np.dtype[Any]]:
    """Shape, order and dtype, by the header with its magic and length."""
    stream = BytesIO(header)
    try:
        version = npy_format.read_magic(stream)
        read_header = {
            (1, 0): npy_format.read_array_header_1_0,
            (2, 0): npy_format.read_array_header_2_0,
        }[version]
        shape, fortran_order, dtype = read_header(stream)
    except Exception as error:  # the header is a Python literal: whatever its parsers can raise
        raise Malformed(f"the body is not an .npy file of version 1 or 2: {error}") from None
    if dtype.kind not in "fiu":
        raise InvalidInput(f"the array has dtype {dtype}", expected="a float or integer dtype")
    return shape, "F" if fortran_order else "C", dtype
