"""Every format of the wire: what it reads, what it refuses, and that it writes what it reads."""

import io
import json as plain_json
import struct
import time
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from safetensors.numpy import load, save

from service.errors import (
    InvalidInput,
    Malformed,
    NotAcceptable,
    ServiceError,
    TooLarge,
    UnsupportedFormat,
)
from service.wire import json, npy, png, safetensors
from service.wire.formats import FORMATS, JSON, NPY, PNG, SAFETENSORS, acceptable, format_of
from service.wire.rows import RowSpec
from tests.fakes import COLOUR, IMAGE, VECTOR

ROWS = RowSpec("inputs", (4, 5), max_rows=10, max_pixels=400, image=IMAGE)
COLOURS = RowSpec("inputs", (4, 5, 3), max_rows=10, max_pixels=400, image=COLOUR)
VECTORS = RowSpec("inputs", (6,), max_rows=10, max_pixels=400, image=VECTOR)
LATENTS = RowSpec("latents", (3,), max_rows=10, max_pixels=400)


def body_of(array: Any, name: str = "inputs") -> bytes:
    return orjson.dumps({name: np.asarray(array).tolist()})


def npy_of(array: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def png_of(pixels: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


numbers = st.floats(-(2.0**100), 2.0**100, width=32)


@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 6), st.just(4), st.just(5)), elements=numbers)
)
def test_what_is_written_reads_back_exactly(array: Any) -> None:
    for form in (JSON, NPY, SAFETENSORS):
        rows, options = form.read(form.write({"inputs": array}, IMAGE), ROWS)
        assert rows.dtype == np.float32
        assert np.array_equal(rows, array)
        assert options == {}


@pytest.mark.parametrize("spec", [ROWS, COLOURS, VECTORS])
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", "<f2", "u1", "<i4", ">i8"])
def test_rows_may_be_nested_or_flat_and_of_any_number_type(spec: RowSpec, dtype: str) -> None:
    array = np.arange(2 * spec.size).reshape(2, *spec.shape).astype(dtype)
    flat = array.reshape(2, -1)
    native = array.astype(array.dtype.newbyteorder("="))
    for shaped in (array, flat, np.asfortranarray(array)):
        for body, form in (
            (body_of(shaped), JSON),
            (npy_of(shaped), NPY),
            (save({"inputs": native.reshape(shaped.shape)}), SAFETENSORS),
        ):
            rows, _ = form.read(body, spec)
            assert rows.shape == (2, *spec.shape)
            assert np.array_equal(rows, array.astype(np.float32))


def test_json_keeps_options() -> None:
    body = (
        b'{"seed": 18446744073709551615, "inputs": [[1, 2, 3, 4, 5, 6]], "sample": true, "x": null}'
    )
    rows, options = json.read(body, VECTORS)
    assert rows.tolist() == [[1, 2, 3, 4, 5, 6]]
    assert options == {"seed": 2**64 - 1, "sample": True, "x": None}


ROW = "[1,2,3,4,5,6]"


@pytest.mark.parametrize(
    ("body", "error", "says"),
    [
        ("", Malformed, "is empty"),
        ("nonsense", Malformed, "not JSON"),
        ("[1]", Malformed, "an array"),
        ("3", Malformed, "not a JSON object"),
        (f'{{"inputs":[{ROW}]}} x', Malformed, "not JSON"),
        (f'{{"inputs":[{ROW}]', Malformed, "not JSON"),
        ('{"inputs":' + "[" * 100_000, Malformed, "not JSON"),
        ('{"inputs":' + "[" * 2000 + "]" * 2000 + "}", Malformed, "not JSON"),
        (f'\ufeff{{"inputs":[{ROW}]}}', Malformed, "byte order mark"),
        (f'{{"inputs":[{ROW}],"inputs":[{ROW}]}}', Malformed, "twice"),
        ('{"a":"\\ud800","inputs":[[1]]}', Malformed, "not JSON"),
        ("{" + ",".join(f'"k{i}":1' for i in range(50_000)) + "}", Malformed, "too many members"),
        ('{"inputs":[[NaN,2,3,4,5,6]]}', Malformed, "not JSON"),
        ('{"inputs":[[1e999,2,3,4,5,6]]}', Malformed, "at character 12"),
        ('{"inputs":[[' + "9" * 5000 + ",2,3,4,5,6]]}", Malformed, "not JSON"),
        ('{"inputs":[[1e39,2,3,4,5,6]]}', InvalidInput, "row 0, element (0,) is not a finite"),
        ("{}", InvalidInput, "'inputs' is missing"),
        ('{"latents":[[1]]}', InvalidInput, "'inputs' is missing"),
        ('{"inputs":3}', InvalidInput, "not an array"),
        ('{"inputs":null}', InvalidInput, "not an array"),
        ('{"inputs":[]}', InvalidInput, "0 rows"),
        ('{"inputs":[[]]}', InvalidInput, "row 0 has 0 elements where 6 should be"),
        ('{"inputs":[1,2,3,4,5,6]}', InvalidInput, "row 0 is a int where an array should be"),
        (f'{{"inputs":[{ROW},[1,2]]}}', InvalidInput, "row 1 has 2 elements"),
        (f'{{"inputs":[{ROW},{{}}]}}', InvalidInput, "row 1 is an object"),
        ('{"inputs":[[1,2,3,4,5,"6"]]}', InvalidInput, "row 0, element (5,) is a str"),
        ('{"inputs":[[1,2,3,4,5,true]]}', InvalidInput, "row 0, element (5,) is a bool"),
        ('{"inputs":[[1,2,3,4,5,null]]}', InvalidInput, "row 0, element (5,) is null"),
        ('{"inputs":[[1,2,3,4,5,[6]]]}', InvalidInput, "nested"),
        ('{"inputs":[[1,2,3,4,[5,6],[]]]}', InvalidInput, "nested"),
        ('{"inputs":[[1,2,3,4,5,' + "[" * 1000 + "]" * 1000 + "]]}", InvalidInput, "nested"),
        (f'{{"inputs\\u0000":[{ROW}]}}', Malformed, "a NUL"),
        (f'{{"inputs":[{",".join([ROW] * 11)}]}}', InvalidInput, "11 rows"),
        (f'{{"inputs":[{ROW}],"seed":{{}}}}', InvalidInput, "'seed' is neither an option"),
        (f'{{"inputs":[{ROW}],"seed":[1,[2,[]]]}}', InvalidInput, "'seed' is neither an option"),
        (f'{{"inputs":[{ROW}],"seed":[1,[{{}}]]}}', InvalidInput, "'seed' is neither an option"),
    ],
)
def test_json_refuses(body: str, error: type[ServiceError], says: str) -> None:
    with pytest.raises(error) as raised:
        json.read(body.encode(), VECTORS)
    assert says in raised.value.detail + str(raised.value.given)
    assert len(raised.value.problem()) < 4096


def test_json_looks_no_deeper_than_the_nesting_that_is_expected() -> None:
    wide = b'{"inputs":[[[' + b"[]," * 3_000_000 + b"[]],2,3,4,5,6]]}"
    started = time.process_time()
    with pytest.raises(InvalidInput, match="nested"):
        json.read(wide, replace(VECTORS, max_rows=1_000_000))
    assert time.process_time() - started < 1


def test_json_with_more_values_than_any_request_has_is_not_parsed() -> None:
    with pytest.raises(InvalidInput, match="too many values"):
        json.read(b'{"inputs":[' + b"0," * 1_000_000 + b"nonsense", VECTORS)
    with pytest.raises(TooLarge, match="options"):
        json.read_options(b'{"n":1}'.ljust(json.MAX_OPTIONS + 1))
    assert json.read_options(b'{"n":1}'.ljust(json.MAX_OPTIONS)) == {"n": 1}


def test_json_of_as_many_rows_and_conditions_as_there_may_be_is_read() -> None:
    spec = replace(VECTORS, max_rows=60_000, told=2)
    row, condition = plain_json.loads(ROW), [0.25, 0.5]
    members = {"inputs": [row] * 60_000, "condition": [condition] * 60_000, "seed": 1}
    body = plain_json.dumps(members).encode()
    assert len(body) > json.SPARE_UP_TO
    rows, options = json.read(body, spec)
    assert (len(rows), len(options["condition"])) == (60_000, 60_000)


def test_json_refuses_other_encodings() -> None:
    for encoding in ("utf-16", "utf-32", "utf-8-sig"):
        with pytest.raises(Malformed):
            json.read(f'{{"inputs":[{ROW}]}}'.encode(encoding), VECTORS)


@pytest.mark.parametrize(
    "inputs",
    [
        [[[1, 2, 3, 4, 5]] * 4, [1] * 20],
        [[1] * 20, [[1, 2, 3, 4, 5]] * 4],
        [[[1, 2, 3, 4, 5]] * 3 + [[1, 2, 3, 4]]],
        [[[1, 2, 3, 4, 5]] * 5],
        [[[1, 2, 3, 4]] * 5],
        [[[[1], 2, 3, 4, 5]] * 4],
        [[[1, 2, 3, 4, 5]] * 3 + [7]],
    ],
)
def test_json_refuses_ragged_pictures(inputs: Any) -> None:
    with pytest.raises(InvalidInput):
        json.read(plain_json.dumps({"inputs": inputs}).encode(), ROWS)


def test_json_writes_the_shortest_decimals() -> None:
    assert json.write({"mu": np.float32([[0.1, 1 / 3]])}, IMAGE) == b'{"mu":[[0.1,0.33333334]]}'


@pytest.mark.parametrize(
    ("body", "error", "says"),
    [
        (b"", Malformed, "not an .npy file"),
        (b"nonsense and more", Malformed, "not an .npy file"),
        (npy_of(np.zeros((1, 6)))[:-1], Malformed, "differ in size"),
        (npy_of(np.zeros((1, 6))) + b"x", Malformed, "differ in size"),
        (npy_of(np.zeros((1, 6)))[:40], Malformed, "not an .npy file"),
        (npy_of(np.zeros((1, 6))).replace(b"(1, 6)", b"(9e9,)"), Malformed, "not an .npy file"),
        (npy_of(np.zeros((1, 6))).replace(b"(1, 6)", b"(-1,6)"), Malformed, ""),
        (npy_of(np.zeros((1, 6))).replace(b"(1, 6)", b"(((((("), Malformed, "not an .npy file"),
        (npy_of(np.zeros((1, 6))).replace(b"'<f8'", b"()   "), Malformed, "not an .npy file"),
        (npy_of(np.zeros((1, 6))).replace(b"(1, 6), ", b"(True,6)"), Malformed, "shape"),
        (npy_of(np.array([[None] * 6]), allow_pickle=True), InvalidInput, "dtype object"),
        (npy_of(np.array([["a"] * 6])), InvalidInput, "dtype"),
        (npy_of(np.zeros((1, 6), bool)), InvalidInput, "dtype bool"),
        (npy_of(np.zeros((1, 6), complex)), InvalidInput, "dtype complex"),
        (npy_of(np.zeros(6)), InvalidInput, "wrong shape"),
        (npy_of(np.zeros((1, 7))), InvalidInput, "wrong shape"),
        (npy_of(np.float64(3)), InvalidInput, "wrong shape"),
        (npy_of(np.zeros((0, 6))), InvalidInput, "0 rows"),
        (npy_of(np.zeros((11, 6))), InvalidInput, "11 rows"),
        (npy_of(np.full((2, 6), np.nan)), InvalidInput, "row 0, element (0,)"),
        (npy_of(np.full((1, 6), 1e300)), InvalidInput, "not a finite float32"),
    ],
)
def test_npy_refuses(body: bytes, error: type[ServiceError], says: str) -> None:
    with pytest.raises(error) as raised:
        npy.read(body, VECTORS)
    assert says in raised.value.detail


def test_npy_believes_no_header() -> None:
    """A header may claim terabytes; nothing is spent on it."""
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999, 999999), }"
    claim = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
    with pytest.raises(Malformed, match="differ in size"):
        npy.read(claim + b"12345678", VECTORS)


def claiming(dtype: str, shape: str, offsets: str, size: int) -> bytes:
    """A safetensors file with these claims about ``inputs``, and so many bytes of data."""
    header = f'{{"inputs":{{"dtype":{dtype},"shape":{shape},"data_offsets":{offsets}}}}}'.encode()
    return struct.pack("<Q", len(header)) + header + bytes(size)


@pytest.mark.parametrize(
    ("body", "error", "says"),
    [
        (b"", Malformed, "not a safetensors file"),
        (b"12345678", Malformed, "not a safetensors file"),
        (struct.pack("<Q", 2**60) + b"{}", Malformed, "claims"),
        (struct.pack("<Q", 2) + b"[]", Malformed, "not a JSON object"),
        (struct.pack("<Q", 13) + b'{"inputs":{}}', Malformed, "lacks dtype"),
        (claiming('"F32"', "[1,6]", "[8,32]", 24), Malformed, "lacks dtype"),
        (claiming('"F32"', "[1,6]", "[0,24]", 28), Malformed, "does not fill"),
        (claiming('"F32"', "[-1,-6]", "[0,24]", 24), Malformed, "list of sizes"),
        (claiming('"F32"', "[true,6]", "[0,24]", 24), Malformed, "list of sizes"),
        (claiming('"F32"', "[1,6.0]", "[0,24]", 24), Malformed, "list of sizes"),
        (claiming('"F32"', f"[0{',1' * 70}]", "[0,0]", 0), Malformed, "shape"),
        (claiming('"F32"', f"[0,{2**63 - 1},6]", "[0,0]", 0), Malformed, "shape"),
        (save({"inputs": np.zeros((1, 6))})[:-1], Malformed, ""),
        (save({"x": np.zeros((1, 6))}), InvalidInput, "the one array"),
        (
            save({"inputs": np.zeros((1, 6)), "z": np.zeros(1)}),
            InvalidInput,
            "the one array",
        ),
        (save({"inputs": np.zeros((1, 6), bool)}), InvalidInput, "dtype BOOL"),
        (save({"inputs": np.zeros((2, 7))}), InvalidInput, "wrong shape"),
    ],
)
def test_safetensors_refuses(body: bytes, error: type[ServiceError], says: str) -> None:
    with pytest.raises(error) as raised:
        safetensors.read(body, VECTORS)
    assert says in raised.value.detail


def test_safetensors_refuses_a_dtype_that_numpy_lacks() -> None:
    header = b'{"inputs":{"dtype":"BF16","shape":[1,6],"data_offsets":[0,12]}}'
    with pytest.raises(InvalidInput, match="dtype"):
        safetensors.read(struct.pack("<Q", len(header)) + header + bytes(12), VECTORS)


def test_safetensors_may_lie_unaligned_in_the_body() -> None:
    header = b'{"inputs":{"dtype":"F32","shape":[2,6],"data_offsets":[0,48]}}'
    data = np.arange(12, dtype=np.float32)
    for padding in range(8):
        text = header + b" " * padding
        body = struct.pack("<Q", len(text)) + text + data.tobytes()
        rows, _ = safetensors.read(body, VECTORS)
        assert rows.flags.aligned
        assert np.array_equal(rows.ravel(), data)


def test_safetensors_writes_what_the_library_reads() -> None:
    arrays = {"mu": np.float32([[1, 2]]), "logvar": np.float32([[3, 4]]).T}
    read = load(safetensors.write(arrays, IMAGE))
    assert read.keys() == arrays.keys()
    assert all(np.array_equal(read[name], arrays[name]) for name in arrays)


def test_png_maps_black_and_white_to_the_range_of_the_model() -> None:
    narrow = RowSpec(
        "inputs", (4, 5), 10, 400, image=IMAGE.model_copy(update={"range": (-1.0, 3.0)})
    )
    pixels = np.full((4, 5), 0, np.uint8)
    pixels[1, 2], pixels[3, 4] = 255, 51
    rows, _ = png.read(png_of(pixels), narrow)
    assert rows.shape == (1, 4, 5)
    assert (rows[0, 0, 0], rows[0, 1, 2]) == (-1, 3)
    assert rows[0, 3, 4] == pytest.approx(-0.2)


@pytest.mark.parametrize("spec", [ROWS, COLOURS])
def test_png_written_reads_back(spec: RowSpec) -> None:
    pixels = np.arange(spec.size, dtype=np.float32).reshape(1, *spec.shape)
    assert spec.image is not None
    rows, _ = png.read(png.write({"outputs": pixels}, spec.image), spec)
    assert np.array_equal(rows, pixels)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_png_converts_gray_and_colour(mode: str) -> None:
    white = png_of(Image.new("RGB", (5, 4), "white").convert(mode))
    for spec in (ROWS, COLOURS):
        rows, _ = png.read(white, spec)
        assert rows.shape == (1, *spec.shape)
        assert (rows == 255).all()


def chunk(name: bytes, data: bytes) -> bytes:
    crc = zlib.crc32(name + data)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc)


def png_claiming(*sizes: tuple[int, int]) -> bytes:
    """A PNG with a header for each (width, height), none of which its few bytes hold."""
    headers = [chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 0, 0, 0, 0)) for size in sizes]
    data = chunk(b"IDAT", zlib.compress(b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(headers) + data + chunk(b"IEND", b"")


GRAY = np.zeros((4, 5), np.uint8)


@pytest.mark.parametrize(
    ("body", "spec", "error", "says"),
    [
        (b"", ROWS, Malformed, "not a whole PNG"),
        (b"GIF89a nonsense", ROWS, Malformed, "not a whole PNG"),
        (png_of(GRAY)[:-20], ROWS, Malformed, "not a whole PNG"),
        (png_of(GRAY)[:30], ROWS, Malformed, "not a whole PNG"),
        (png_claiming((5, 4)), ROWS, Malformed, "not a whole PNG"),
        (png_claiming((20_000, 20_000)), ROWS, InvalidInput, "too many pixels"),
        (png_claiming((2**31 - 1, 2**31 - 1)), ROWS, ServiceError, ""),
        (png_claiming((5, 4), (9_000, 9_000)), ROWS, Malformed, "second header"),
        (png_claiming((5, 4), (20_000, 20_000)), ROWS, Malformed, "not a whole PNG"),
        (png_of(GRAY.T), ROWS, InvalidInput, "wrong size"),
        (png_of(GRAY.astype(np.uint16)), ROWS, InvalidInput, "mode I;16"),
        (png_of(GRAY), VECTORS, UnsupportedFormat, "no pictures"),
        (png_of(GRAY), LATENTS, UnsupportedFormat, "no pictures"),
    ],
)
def test_png_refuses(body: bytes, spec: RowSpec, error: type[ServiceError], says: str) -> None:
    with pytest.raises(error) as raised:
        png.read(body, spec)
    assert says in raised.value.detail


def test_png_of_several_rows_is_an_enlarged_grid() -> None:
    rows = np.stack([np.full((4, 5), 50 * i, np.float32) for i in range(5)])
    picture = np.asarray(Image.open(io.BytesIO(png.write({"outputs": rows}, IMAGE))))
    factor = 64 // 5
    assert picture.shape == (2 * (4 * factor + 2) + 2, 3 * (5 * factor + 2) + 2)
    assert set(np.unique(picture)) == {0, 50, 100, 128, 150, 200}


def test_png_draws_no_grid_without_end() -> None:
    many = np.zeros((4096, 4, 5), np.float32)
    width, height = Image.open(io.BytesIO(png.write({"outputs": many}, IMAGE))).size
    assert 2**21 < width * height < 2**23
    with pytest.raises(NotAcceptable, match="too large a picture"):
        png.write({"outputs": np.zeros((300_000, 4, 5), np.float32)}, IMAGE)


def test_png_cuts_values_outside_the_range() -> None:
    rows = np.float32([[[-5, 300, 0.4, 0.6, 255]] * 4])
    picture = np.asarray(Image.open(io.BytesIO(png.write({"outputs": rows}, IMAGE))))
    assert picture[0].tolist() == [0, 255, 0, 1, 255]


def test_png_shows_no_vectors() -> None:
    with pytest.raises(NotAcceptable):
        png.write({"outputs": np.zeros((1, 6), np.float32)}, VECTOR)


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        (None, JSON),
        ("application/json; charset=utf-8", JSON),
        ("Application/JSON", JSON),
        ("application/x-www-form-urlencoded", JSON),
        ("application/x-npy", NPY),
        ("image/png", PNG),
    ],
)
def test_content_type(content_type: str | None, expected: Any) -> None:
    assert format_of(content_type and content_type.encode()) is expected


def test_an_unknown_content_type_is_refused() -> None:
    with pytest.raises(UnsupportedFormat) as raised:
        format_of(b"text/csv")
    assert all(media_type in raised.value.expected for media_type in FORMATS)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, JSON),
        ("*/*", JSON),
        ("image/png", PNG),
        ("image/*", PNG),
        ("application/x-npy, application/json;q=0.5", NPY),
        ("application/json;q=0.1, application/x-safetensors;q=0.2", SAFETENSORS),
        ("text/html, application/xml;q=0.9, */*;q=0.8", JSON),
        ("application/json;q=0, */*", NPY),
        ("application/json;q=nonsense, image/png;q=0.1", PNG),
        ("application/json;q=nan, image/png;q=-1, application/x-npy;q=0.1", NPY),
    ],
)
def test_accept(accept: str | None, expected: Any) -> None:
    assert acceptable(accept and accept.encode(), picture=True) is expected


@pytest.mark.parametrize("accept", ["text/html", "image/png", "application/json;q=0"])
def test_accept_that_nothing_fits(accept: str) -> None:
    with pytest.raises(NotAcceptable):
        acceptable(accept and accept.encode(), picture=False)


@given(st.binary(max_size=200))
def test_no_bytes_crash_a_format(body: bytes) -> None:
    for form in FORMATS.values():
        with pytest.raises(ServiceError) as raised:
            form.read(body, ROWS)
        assert 400 <= raised.value.status < 500


def test_json_reads_whole_numbers_beyond_64_bits_as_floats() -> None:
    text = b'{"inputs":[[18446744073709551616,18446744073709551615,-1e3,4,5,6]]}'
    rows, _ = json.read(text, VECTORS)
    assert rows[0, 0] == rows[0, 1] == np.float32(2.0**64)
    assert rows[0, 2:].tolist() == [-1000, 4, 5, 6]


def test_json_writes_large_arrays_as_it_writes_small_ones() -> None:
    random = np.random.default_rng(0)
    arrays = {
        "outputs": random.standard_normal((700, 13, 11), dtype=np.float32),
        "latents": random.standard_normal((700, 3), dtype=np.float32),
    }
    text = json.write(arrays, IMAGE)
    assert text == orjson.dumps(arrays, option=orjson.OPT_SERIALIZE_NUMPY)
