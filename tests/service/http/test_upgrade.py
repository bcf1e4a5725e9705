"""A head without its wish to upgrade says all else that it said."""

from service.http.upgrade import without_upgrade


def test_the_wish_goes_and_the_rest_stays() -> None:
    headers = [
        (b"host", b"a"),
        (b"upgrade", b"h2c"),
        (b"http2-settings", b"AAMAAABk"),
        (b"connection", b"Upgrade, HTTP2-Settings"),
        (b"content-length", b"2"),
    ]
    assert without_upgrade(b"POST", b"/encode?seed=1", "1.1", headers) == (
        b"POST /encode?seed=1 HTTP/1.1\r\nhost: a\r\nconnection: keep-alive\r\n"
        b"content-length: 2\r\n\r\n"
    )


def test_a_wish_to_close_stays() -> None:
    head = without_upgrade(b"GET", b"/", "1.0", [(b"connection", b"Close, Upgrade")])
    assert head == b"GET / HTTP/1.0\r\nconnection: close\r\n\r\n"
