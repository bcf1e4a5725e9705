"""The floor: plain uvicorn and an ASGI app that reads the body and answers a fixed reply.

``python -m bench.fixed --port PORT --reply FILE --media-type TYPE [--tuned]``
"""

import argparse
from pathlib import Path

from starlette.types import Receive, Scope, Send

from bench.plain import add_options, serve


class Fixed:
    """Answers every request with the same bytes."""

    def __init__(self, body: bytes, media_type: str) -> None:
        self._body = body
        self._headers = [
            (b"content-type", media_type.encode()),
            (b"content-length", str(len(body)).encode()),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": self._headers})
        await send({"type": "http.response.body", "body": self._body})


def main() -> None:
    """Serve until a signal comes."""
    parser = argparse.ArgumentParser()
    add_options(parser)
    parser.add_argument("--reply", type=Path, required=True)
    parser.add_argument("--media-type", required=True)
    given = parser.parse_args()
    serve(Fixed(given.reply.read_bytes(), given.media_type), given.port, tuned=given.tuned)


if __name__ == "__main__":
    main()
