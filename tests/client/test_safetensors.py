"""What the client adds to the safetensors library: float32 in C order out, its own errors in."""

import json
import struct
from typing import Any

import httpx
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from vae_client import ReplyError
from vae_client._protocol import Target

WHOLE = safetensors.numpy.save({"outputs": np.arange(6, dtype=np.float32).reshape(2, 3)})


def parse(content: bytes) -> Any:
    """What ``decode`` makes of a reply with this body."""
    call = Target().decode([[0.0]], None)
    request = httpx.Request("POST", "http://test/decode")
    headers = {"Content-Type": "application/x-safetensors"}
    return call.parse(httpx.Response(200, headers=headers, content=content, request=request))


def with_header(header: Any, data: bytes = bytes(8)) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.mark.parametrize(
    "rows",
    [
        np.arange(6, dtype=">f4").reshape(2, 3),
        np.arange(6, dtype=np.float64).reshape(2, 3),
        np.arange(6, dtype=np.float32).reshape(3, 2).T,
        np.arange(12, dtype=np.float32).reshape(2, 6)[:, ::2],
        np.array([[True, False]]),
        [[1, 2.5]],
    ],
)
def test_rows_of_any_layout_are_sent_in_c_order(rows: Any) -> None:
    sent = safetensors.numpy.load(Target().decode(rows, None).content or b"")["latents"]
    assert sent.dtype == np.float32
    assert sent.tolist() == np.asarray(rows, np.float32).tolist()


@pytest.mark.parametrize("rows", [[[1j]], [["1"]], [[None]]])
def test_values_that_are_not_real_numbers_are_refused(rows: Any) -> None:
    with pytest.raises(TypeError, match="to dtype\\('float32'\\)"):
        Target().decode(rows, None)


def test_a_whole_reply_is_read() -> None:
    assert parse(WHOLE).tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("cut", range(len(WHOLE)))
def test_a_cut_reply_is_damaged(cut: int) -> None:
    with pytest.raises(ReplyError, match="the reply is damaged"):
        parse(WHOLE[:cut])


@settings(deadline=None)
@given(st.binary(max_size=100), st.integers(0, len(WHOLE)))
def test_any_other_bytes_are_refused_with_our_exception(content: bytes, kept: int) -> None:
    try:
        parse(WHOLE[:kept] + content)
    except ReplyError:
        pass
    else:
        assert len(content) == len(WHOLE) - kept


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"dtype": "I64", "shape": [1], "data_offsets": [0, 8]}, "outputs in the reply is int64"),
        ({"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]}, "dtype 'BF16'"),
        ({"dtype": "F8_E4M3", "shape": [8], "data_offsets": [0, 8]}, "dtype 'F8_E4M3'"),
        ({"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}, "damaged"),
        ({"dtype": "F32", "shape": [2**62], "data_offsets": [0, 8]}, "damaged"),
        ({"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}, "damaged"),
        ({"dtype": "F99", "shape": [2], "data_offsets": [0, 8]}, "damaged"),
        (3, "damaged"),
    ],
)
def test_an_array_that_cannot_be_used_is_refused(entry: Any, message: str) -> None:
    with pytest.raises(ReplyError, match=message):
        parse(with_header({"outputs": entry}))
