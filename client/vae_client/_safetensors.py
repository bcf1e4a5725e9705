"""Named arrays to bytes and back: the safetensors format.

Eight bytes with the length of the header, little-endian; the header, JSON; then the arrays,
little-endian, one after the other. See https://huggingface.co/docs/safetensors.
"""

import json
import math
import struct
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]

DTYPES: Final[Mapping[str, str]] = {
    "BOOL": "?",
    "U8": "u1",
    "I8": "i1",
    "U16": "<u2",
    "I16": "<i2",
    "U32": "<u4",
    "I32": "<i4",
    "U64": "<u8",
    "I64": "<i8",
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
}
NAMES: Final = {np.dtype(dtype): name for name, dtype in DTYPES.items()}


def encode(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The bytes of these arrays; their dtypes must be those of ``DTYPES``."""
    header: dict[str, Any] = {}
    buffers: list[bytes] = []
    offset = 0
    for name, array in arrays.items():
        dtype = array.dtype.newbyteorder("<")
        buffers.append(array.astype(dtype, copy=False).tobytes())
        end = offset + len(buffers[-1])
        header[name] = {
            "dtype": NAMES[dtype],
            "shape": list(array.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that the arrays start at a multiple of eight
    return b"".join((struct.pack("<Q", len(text)), text, *buffers))


def decode(content: bytes) -> Arrays:
    """The named arrays in ``content``, each a copy of its own.

    Raises ValueError for anything that is not whole: the header must be JSON of the right form, and
    the arrays must fill the rest exactly, without gap or overlap.
    """
    header, data = _header(content)
    arrays: Arrays = {}
    expected = 0
    entries = ((name, *_entry(name, value)) for name, value in header.items())
    for name, dtype, shape, begin, end in sorted(entries, key=lambda entry: entry[3:]):
        if begin != expected or end - begin != math.prod(shape) * dtype.itemsize or end > len(data):
            raise ValueError(f"{name} is {dtype} {shape} at bytes {begin} to {end}, which is wrong")
        arrays[name] = np.frombuffer(data[begin:end], dtype).reshape(shape).copy()
        expected = end
    if expected != len(data):
        raise ValueError(f"{len(data) - expected} bytes belong to no array")
    return arrays


def _header(content: bytes) -> tuple[dict[str, Any], memoryview]:
    """The entries of the header by name, and the bytes behind it."""
    if len(content) < 8:
        raise ValueError(f"{len(content)} bytes are too few for a header")
    (length,) = struct.unpack_from("<Q", content)
    if length > len(content) - 8:
        raise ValueError(f"the header should have {length} bytes; {len(content) - 8} are there")
    try:
        header = json.loads(content[8 : 8 + length])
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the header is not JSON: {error}") from None
    if not isinstance(header, dict):
        raise ValueError("the header is not a JSON object")
    header.pop("__metadata__", None)
    return header, memoryview(content)[8 + length :]


def _entry(name: str, value: Any) -> tuple[np.dtype[Any], tuple[int, ...], int, int]:
    """dtype, shape and the first and last byte of one array."""
    match value:
        case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [begin, end]} if (
            dtype in DTYPES and all(_is_size(number) for number in (*shape, begin, end))
        ):
            return np.dtype(DTYPES[dtype]), tuple(shape), begin, end
    raise ValueError(f"the header's entry for {name} is {str(value)[:200]}")


def _is_size(value: Any) -> bool:
    return type(value) is int and value >= 0
