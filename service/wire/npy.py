"""NumPy's .npy format: one array, no options.

Specification: numpy.lib.format. The header's claim is checked against the bytes that came before
any memory is spent on it, and the array is a view of the body. No pickled objects.
"""

from io import BytesIO
from math import prod

import numpy as np
from numpy.lib import format as npy_format

from service.arrays import Array, Arrays, Float32
from service.errors import InvalidInput, Malformed
from service.wire.rows import RowSpec
from vae.manifest import InputSpec


def read(body: bytes, spec: RowSpec) -> tuple[Float32, dict[str, str]]:
    """The rows of ``spec``. Raises Malformed when the body is no whole .npy file."""
    return spec.check(_parse(body)), {}


def write(arrays: Arrays, image: InputSpec) -> bytes:  # noqa: ARG001 (the seam of all formats)
    """The first array."""
    buffer = BytesIO()
    np.save(buffer, next(iter(arrays.values())), allow_pickle=False)
    return buffer.getvalue()


def _parse(body: bytes) -> Array:
    stream = BytesIO(body)
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
    data = memoryview(body)[stream.tell() :]
    if prod(shape) * dtype.itemsize != len(data):
        raise Malformed(
            "the .npy header and the data differ in size",
            expected=f"{prod(shape) * dtype.itemsize} bytes for {shape} of {dtype}",
            given=f"{len(data)} bytes",
        )
    try:
        return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran_order else "C")
    except (ValueError, TypeError) as error:  # True for a size, more dimensions than there can be
        raise Malformed(f"the shape of the .npy header: {error}") from None
