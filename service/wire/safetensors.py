"""safetensors: named arrays, no options.

Specification: https://huggingface.co/docs/safetensors/index#format. Arrays are read as views of the
body and written without a copy of their own; the header's claims are checked against the bytes that
came before anything else.
"""

from functools import lru_cache
from math import prod
from struct import Struct
from typing import Any, Final

import numpy as np
import orjson

from service.arrays import Arrays, Float32
from service.errors import InvalidInput, Malformed
from service.wire.rows import RowSpec
from vae.manifest import InputSpec

HEADER_LENGTH: Final = Struct("<Q")
MAX_HEADER_BYTES: Final = 64 * 1024
DTYPES: Final = {
    name: np.dtype(code)
    for name, code in zip(
        ("F16", "F32", "F64", "I8", "I16", "I32", "I64", "U8", "U16", "U32", "U64"),
        ("<f2", "<f4", "<f8", "i1", "<i2", "<i4", "<i8", "u1", "<u2", "<u4", "<u8"),
        strict=True,
    )
}


def read(body: bytes, spec: RowSpec) -> tuple[Float32, dict[str, str]]:
    """The rows of ``spec``, which must be the only array.

    Raises Malformed when the body is no whole safetensors file, and InvalidInput when it holds
    another array, or one of a dtype that is not read here.
    """
    if len(body) < HEADER_LENGTH.size:
        raise _malformed("it has no header")
    (length,) = HEADER_LENGTH.unpack_from(body)
    start = HEADER_LENGTH.size + length
    if length > MAX_HEADER_BYTES or start > len(body):
        raise _malformed(f"its header claims {length} bytes")
    dtype, shape, end = _layout(body[HEADER_LENGTH.size : start], spec.name)
    if start + end != len(body):
        raise _malformed(f"{spec.name} of shape {shape} and dtype {dtype} does not fill its data")
    try:
        array = np.frombuffer(body, dtype, offset=start).reshape(shape)
    except ValueError as error:  # more dimensions, or a larger one, than an array can have
        raise _malformed(f"the shape of {spec.name}: {error}") from None
    return spec.check(array), {}


def write(arrays: Arrays, image: InputSpec) -> bytes:  # noqa: ARG001 (every format has this signature)
    """All arrays under their names, as float32."""
    header = _header(tuple([(name, array.shape) for name, array in arrays.items()]))
    return b"".join([header, *[array.data for array in arrays.values()]])


@lru_cache(maxsize=64)
def _header(layout: tuple[tuple[str, tuple[int, ...]], ...]) -> bytes:
    """The header of these arrays with its length; clients get the same few again and again."""
    header, end = {}, 0
    for name, shape in layout:
        start, end = end, end + 4 * prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": (start, end)}
    text = orjson.dumps(header)
    text += b" " * (-len(text) % 8)  # so that the data are aligned for whoever maps them
    return HEADER_LENGTH.pack(len(text)) + text


@lru_cache(maxsize=64)
def _layout(text: bytes, name: str) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    """Dtype, shape and bytes of the array, which must be the only one of the header."""
    try:
        header = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _malformed(f"its header is not JSON: {error}") from None
    if not isinstance(header, dict):
        raise _malformed("its header is not a JSON object")
    header.pop("__metadata__", None)
    if header.keys() != {name}:
        raise InvalidInput(
            "the body does not hold the one array that is expected",
            expected=name,
            given=", ".join(header) or "none",
        )
    return _entry(name, header[name])


def _entry(name: str, entry: Any) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    match entry:
        case {"dtype": str(code), "shape": [*shape], "data_offsets": [0, int(end)]}:
            pass
        case _:
            raise _malformed(f"the header's entry of {name} lacks dtype, shape or data_offsets")
    if code not in DTYPES:
        raise InvalidInput(f"{name} has dtype {code}", expected=", ".join(DTYPES))
    if not all(type(size) is int and size >= 0 for size in shape):
        raise _malformed(f"the shape of {name} is not a list of sizes")
    dtype = DTYPES[code]
    if prod(shape) * dtype.itemsize != end:
        raise _malformed(f"{name} of shape {shape} and dtype {code} does not fill its data")
    return dtype, tuple(shape), end


def _malformed(reason: str) -> Malformed:
    return Malformed(f"the body is not a safetensors file: {reason}")
