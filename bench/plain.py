"""Plain uvicorn, for what the service is compared with: as it comes, and as it is fastest."""

import argparse

import uvicorn
from starlette.types import ASGIApp


def add_options(parser: argparse.ArgumentParser) -> None:
    """Those of every server here."""
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--tuned", action="store_true", help="write no access log")


def serve(app: ASGIApp, port: int, *, tuned: bool) -> None:
    """Until a signal comes. uvicorn by itself takes uvloop and httptools where they are installed,
    and writes a line for every request.
    """
    if tuned:
        uvicorn.run(app, port=port, access_log=False, log_level="warning")
    else:
        uvicorn.run(app, port=port)
