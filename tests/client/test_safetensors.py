import contextlib
import json
import struct
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hypothesis_numpy

from vae_client._safetensors import DTYPES, decode, encode

ARRAYS = st.dictionaries(
    st.text(max_size=5).filter(lambda name: name != "__metadata__"),
    st.sampled_from(sorted(DTYPES.values())).flatmap(
        lambda dtype: hypothesis_numpy.arrays(
            dtype, hypothesis_numpy.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
        )
    ),
    min_size=1,
    max_size=3,
)


def same(left: dict[str, Any], right: dict[str, Any]) -> bool:
    return left.keys() == right.keys() and all(
        left[name].dtype == right[name].dtype
        and left[name].shape == right[name].shape
        and left[name].tobytes() == right[name].tobytes()
        for name in left
    )


@settings(deadline=None)
@given(ARRAYS)
def test_the_library_reads_what_we_write(arrays: dict[str, Any]) -> None:
    assert same(safetensors.numpy.load(encode(arrays)), arrays)


@settings(deadline=None)
@given(ARRAYS)
def test_we_read_what_the_library_writes(arrays: dict[str, Any]) -> None:
    assert same(decode(safetensors.numpy.save(arrays, {"made": "by hand"})), arrays)


def test_arrays_start_at_a_multiple_of_eight() -> None:
    for name in ("a", "ab", "abc"):
        (length,) = struct.unpack_from("<Q", encode({name: np.zeros(1)}))
        assert length % 8 == 0


def test_big_endian_and_strided_arrays_are_written_in_order() -> None:
    array = np.arange(6, dtype=">f4").reshape(2, 3).T
    assert decode(encode({"a": array}))["a"].tolist() == array.tolist()


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    with contextlib.suppress(ValueError):
        decode(content)


@settings(deadline=None)
@given(ARRAYS, st.data())
def test_a_cut_is_always_noticed(arrays: dict[str, Any], data: st.DataObject) -> None:
    content = encode(arrays)
    cut = data.draw(st.integers(0, len(content) - 1))
    with pytest.raises(ValueError, match=r"bytes|header"):
        decode(content[:cut])


def entry(**changes: Any) -> dict[str, Any]:
    return {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not a JSON object"),
        ({"a": 3}, "entry for a is 3"),
        ({"a": entry(dtype="BF16")}, "entry for a"),
        ({"a": entry(dtype=["F32"])}, "entry for a"),
        ({"a": entry(shape=[-2])}, "entry for a"),
        ({"a": entry(shape=[2.0])}, "entry for a"),
        ({"a": entry(shape=[True, 2])}, "entry for a"),
        ({"a": entry(shape="2")}, "entry for a"),
        ({"a": entry(data_offsets=[0])}, "entry for a"),
        ({"a": entry(data_offsets=[0, "8"])}, "entry for a"),
        ({"a": entry(shape=[3])}, "at bytes 0 to 8, which is wrong"),
        ({"a": entry(shape=[2**70])}, "which is wrong"),
        ({"a": entry(shape=[3], data_offsets=[0, 12])}, "at bytes 0 to 12, which is wrong"),
        ({"a": entry(shape=[1], data_offsets=[4, 8])}, "at bytes 4 to 8, which is wrong"),
        ({"a": entry(), "b": entry()}, "b is float32 .* which is wrong"),
        ({"a": entry(shape=[1], data_offsets=[0, 4])}, "4 bytes belong to no array"),
        ({}, "8 bytes belong to no array"),
    ],
)
def test_a_wrong_header_is_refused(header: str | dict[str, Any], message: str) -> None:
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    with pytest.raises(ValueError, match=message):
        decode(struct.pack("<Q", len(text)) + text + bytes(8))


def test_the_header_may_list_the_arrays_in_any_order() -> None:
    header = {
        "b": entry(shape=[1], data_offsets=[4, 8]),
        "a": entry(shape=[1], data_offsets=[0, 4]),
    }
    text = json.dumps(header).encode()
    arrays = decode(struct.pack("<Q", len(text)) + text + np.array([1, 2], "<f4").tobytes())
    assert arrays == {"a": [1], "b": [2]}


def test_a_length_beyond_the_end_is_refused() -> None:
    with pytest.raises(ValueError, match="the header should have 18446744073709551615 bytes"):
        decode(b"\xff" * 8 + b"{}")
