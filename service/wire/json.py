"""JSON: ``{"inputs": [[…], …], "option": …}`` in, named arrays out.

Numbers go from the text straight into an array (simdjson), no Python list in between; a value that
is no number is found there. The nesting is then checked row by row, since the flat array no longer
shows it. Replies hold the shortest decimals that read back as the same float32.
"""

from functools import lru_cache
from math import prod
from typing import Any, Final

import numpy as np
import orjson
from simdjson import Array, Object, Parser

from service.arrays import Arrays, Float32
from service.errors import InvalidInput, Malformed, TooLarge
from service.wire.rows import RowSpec
from vae.manifest import InputSpec

MAX_MEMBERS: Final = 16
MAX_OPTIONS: Final = 4 * 2**20  # bytes of a body without rows; a condition may come for each row

SPARE_PARSERS: Final[list[Parser]] = []
"""A parser keeps its memory, and the pages of a new one cost as much as the parsing. It cannot be
used while anything of its document lives, so it comes back here only when a read has ended well."""
SPARE_UP_TO: Final = 2**20  # bytes of a body; a parser's memory is some ten times that
PIECE_BYTES: Final = 256 * 1024  # of arrays, written without a break
MAX_EXCERPT: Final = 40  # characters
FAR_APART: Final = 500  # bytes
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


def read(body: bytes, spec: RowSpec) -> tuple[Float32, dict[str, Any]]:
    """The rows of ``spec`` and all other members.

    Raises Malformed when the body is no JSON object, and InvalidInput when the rows are missing,
    ragged, of another shape or not numbers.
    """
    if len(body) > SPARE_UP_TO:
        _check_length(body, spec)
    parser = SPARE_PARSERS.pop() if SPARE_PARSERS else Parser()
    members = _members(parser, body)
    if spec.name not in members:
        raise InvalidInput(
            f"{spec.name!r} is missing",
            expected=f'{{"{spec.name}": an array of shape {spec.describe()}}}',
            given=list(members),
        )
    array = members.pop(spec.name)
    if not isinstance(array, Array):
        raise InvalidInput(
            f"{spec.name} is not an array", expected=spec.describe(), given=_name_of(array)
        )
    rows = _rows(array, spec, body)
    options = _plain(members) if members else members
    if len(body) <= SPARE_UP_TO:
        SPARE_PARSERS.append(parser)
    return rows, options


def read_options(body: bytes) -> dict[str, Any]:
    """The members of a body without rows. Raises Malformed when it is no JSON object."""
    if len(body) > MAX_OPTIONS:
        raise TooLarge("the options are too large", expected=MAX_OPTIONS, given=len(body))
    return _plain(_members(Parser(), body))


def write(arrays: Arrays, image: InputSpec) -> bytes:  # noqa: ARG001 (every format has this signature)
    """``{"mu": [[…]], …}``. Large arrays go in pieces, between which threads may switch."""
    if sum(array.nbytes for array in arrays.values()) <= PIECE_BYTES:
        return orjson.dumps(arrays, option=orjson.OPT_SERIALIZE_NUMPY)
    members = [b'"%b":[%b]' % (name.encode(), _elements(array)) for name, array in arrays.items()]
    return b"{%b}" % b",".join(members)


def _elements(array: Float32) -> bytes:
    rows = max(1, PIECE_BYTES * len(array) // array.nbytes)
    pieces = (array[start : start + rows] for start in range(0, len(array), rows))
    return b",".join(
        orjson.dumps(piece, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1] for piece in pieces
    )


def _members(parser: Parser, body: bytes) -> dict[str, Any]:
    if body.startswith(BYTE_ORDER_MARK):
        raise Malformed("the JSON starts with a byte order mark", expected="UTF-8 without one")
    try:
        document = parser.parse(body)
    except (ValueError, RuntimeError):
        document = _parse_large_integers(body)
    if not isinstance(document, Object):
        raise Malformed("the body is not a JSON object", given=_name_of(document))
    names = list(document.keys())
    if len(names) > MAX_MEMBERS:
        raise Malformed(
            "the JSON object has too many members", expected=MAX_MEMBERS, given=len(names)
        )
    if len(names) > 1 and len(set(names)) < len(names):
        raise Malformed("the JSON object names a member twice", given=names)
    try:
        return {name: document[name] for name in names}
    except KeyError:  # the parser looks a name up as far as its first NUL
        raise Malformed("the JSON object has a name with a NUL in it", given=names) from None


def _parse_large_integers(body: bytes) -> Any:
    """A document that failed to parse because of whole numbers beyond 64 bits, which become floats.

    Raises Malformed for any other reason.
    """
    try:
        return Parser().parse(orjson.dumps(orjson.loads(body)))
    except (ValueError, RuntimeError):
        raise _malformed(body) from None


def _malformed(body: bytes) -> Malformed:
    """The error for a body that is not JSON, with the place where it is not."""
    if not body.strip():
        return Malformed("the body is empty", expected="a JSON object")
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError as error:
        text = body.decode(errors="replace")
        return Malformed(
            f"the body is not JSON at character {error.pos}",
            expected="JSON, in which numbers are finite",
            given=text[error.pos : error.pos + MAX_EXCERPT] or "the end of the body",
        )
    except RecursionError:
        pass
    return Malformed("the body is not JSON, or it is nested too deeply")


def _plain(members: dict[str, Any]) -> dict[str, Any]:
    """Members without rows as Python has them: single values, lists, and lists of lists."""
    for name, value in members.items():
        if _holds_more_than_lists(value):
            raise InvalidInput(
                f"{name!r} is neither an option's value nor a list", given=_name_of(value)
            )
        if isinstance(value, Array):
            members[name] = value.as_list()
    return members


def _holds_more_than_lists(value: Any, depth: int = 2) -> bool:
    """Whether there is an object in ``value``, or a list within so many lists."""
    if isinstance(value, Array):
        return depth == 0 or any(_holds_more_than_lists(part, depth - 1) for part in value)
    return isinstance(value, Object)


def _check_length(body: bytes, spec: RowSpec) -> None:
    """Raises InvalidInput for more values than any request has, before they cost ten times as much.

    Each is followed by a comma, but for the last.
    """
    most = spec.max_rows * (spec.size + spec.told) + MAX_MEMBERS
    if (commas := body.count(b",")) > most:
        raise InvalidInput(
            "the JSON holds too many values",
            expected=f"{spec.max_rows} rows of {spec.describe()} at most",
            given=f"{commas} commas",
        )


def _rows(array: Array, spec: RowSpec, body: bytes) -> Float32:
    count = len(array)
    spec.check_count(count)
    shape = _row_shape(array[0], spec)
    for index, row in enumerate(array):
        if (problem := _mismatch(row, shape)) is not None:
            raise InvalidInput(
                f"{spec.name}: row {index} {problem}",
                expected=f"a row of shape {shape}, as all rows of {spec.describe()}",
            )
    # As many brackets as the shape needs: nothing is nested more deeply. (A bracket in a string,
    # where the text holds one, only costs the closer look.)
    enough = 1 + count * _arrays_in(shape)
    if _holds_more(body, b"[", enough) and _holds_arrays(array, 1 + len(shape)):
        raise InvalidInput(f"{spec.name} is nested too deeply", expected=spec.describe())
    try:
        flat = np.frombuffer(array.as_buffer(of_type="d"))
    except TypeError:
        raise _not_a_number(array, spec) from None
    return spec.to_float32(flat.reshape(count, *spec.shape))


def _not_a_number(array: Array, spec: RowSpec) -> InvalidInput:
    """The error for an element that is no number, with its place."""
    for index, row in enumerate(array):
        if (found := _first_other(row)) is not None:
            place, value = found
            return InvalidInput(
                f"{spec.name}: row {index}, element {place} is {_name_of(value)}",
                expected="a number",
            )
    return InvalidInput(f"{spec.name} holds a value that is not a number")


def _first_other(value: Any) -> tuple[tuple[int, ...], Any] | None:
    """The place of the first element that is no number, and the element."""
    if not isinstance(value, Array):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return None if is_number else ((), value)
    for index, element in enumerate(value):
        if (found := _first_other(element)) is not None:
            return (index, *found[0]), found[1]
    return None


def _holds_more(body: bytes, byte: bytes, count: int) -> bool:
    """Whether ``byte`` occurs more than ``count`` times.

    ``find`` leaps from one to the next many times as fast as ``count`` walks, but each leap costs.
    """
    if len(body) < FAR_APART * count:
        return body.count(byte) > count
    place = -1
    while count >= 0 and (place := body.find(byte, place + 1)) >= 0:
        count -= 1
    return count < 0


def _row_shape(first: Any, spec: RowSpec) -> tuple[int, ...]:
    """The shape that all rows must have: that of the model or flat, whichever the first has."""
    nested = isinstance(first, Array) and len(first) > 0
    if nested and len(spec.shape) > 1 and isinstance(first[0], Array):
        return spec.shape
    return (spec.size,)


def _mismatch(value: Any, shape: tuple[int, ...]) -> str | None:
    """What is wrong with the nesting of ``value``; None when nothing is."""
    if not isinstance(value, Array):
        return f"is {_name_of(value)} where an array should be"
    if len(value) != shape[0]:
        return f"has {len(value)} elements where {shape[0]} should be"
    if len(shape) > 1:
        return next((problem for part in value if (problem := _mismatch(part, shape[1:]))), None)
    return None


@lru_cache(maxsize=64)
def _arrays_in(shape: tuple[int, ...]) -> int:
    """How many JSON arrays a nesting of this shape has, itself included."""
    return sum(prod(shape[:axis]) for axis in range(len(shape)))


def _holds_arrays(array: Any, dimensions: int) -> bool:
    """Whether an element of an array of so many dimensions is an array itself.

    Looks no deeper and stops at the first, however wide or deep what stands there may be.
    """
    if dimensions > 1:
        return any(_holds_arrays(part, dimensions - 1) for part in array)
    return any(isinstance(element, Array) for element in array)


def _name_of(value: Any) -> str:
    if isinstance(value, Array):
        return "an array"
    if isinstance(value, Object):
        return "an object"
    return "null" if value is None else f"a {type(value).__name__}"
