"""Bodies, taken from bytes that come in any pieces."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import HeadTooLarge, Malformed
from service.http.body import Body, ChunkedBody, SizedBody

CHUNKED = b"5\r\nhello\r\n6;x=y\r\n\r\n\r\n\r\n\r\n0\r\nT: 1\r\nU: 2\r\n\r\n"
CONTENT = b"hello\r\n\r\n\r\n"


def take(body: Body, data: bytes, cuts: list[int]) -> tuple[bytes, bytes]:
    places = [0, *sorted(cut % len(data) for cut in cuts), len(data)]
    content = rest = b""
    for start, stop in pairwise(places):
        if body.complete:
            rest += data[start:stop]
        else:
            piece, behind = body.take(data[start:stop])
            content, rest = content + piece, rest + behind
    return content, rest


def take_often(body: Body, data: bytes) -> None:
    for _ in range(1000):
        body.take(data)


@given(
    rest=st.sampled_from([b"", b"GET / HTTP/1.1\r\n\r\n", b"\r\n\r\nPOST", b"0\r\n\r\n"]),
    cuts=st.lists(st.integers(0, 100), max_size=8),
)
def test_a_body_ends_where_it_ends_whatever_the_pieces(rest: bytes, cuts: list[int]) -> None:
    chunked, sized = ChunkedBody(), SizedBody(len(CONTENT))
    assert take(chunked, CHUNKED + rest, cuts) == (CONTENT, rest)
    assert take(sized, CONTENT + rest, cuts) == (CONTENT, rest)
    assert chunked.complete
    assert sized.complete


@pytest.mark.parametrize(
    ("first", "more"),
    [(b"0\r\nX: ", b"a" * 1000), (b"0\r\n", b"X: aaaaaaaa\r\n"), (b"5;", b"a" * 100)],
    ids=["one trailer", "many trailers", "a chunk extension"],
)
def test_what_carries_no_content_is_bounded(first: bytes, more: bytes) -> None:
    body = ChunkedBody()
    body.take(first)
    for _ in range(100):  # well below the limit
        body.take(more[:9])
    with pytest.raises(HeadTooLarge):
        take_often(body, more)


@pytest.mark.parametrize("data", [b"x\r\n", b"-1\r\n", b"5\r\nhelloX\r\n", b"\r\n\r\n\r\n"])
def test_what_are_no_chunks_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        ChunkedBody().take(data)
