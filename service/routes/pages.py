"""The playground and the API's documentation: pages that talk to the public API alone."""

from pathlib import Path
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles

DIRECTORY: Final = Path(__file__).parents[1] / "static"
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Cache-Control": "no-cache",  # ask again, or modules of two versions may meet in one page
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}


class Files(StaticFiles):
    """The pages' style sheets, icon and modules."""

    def __init__(self) -> None:
        super().__init__(directory=DIRECTORY)

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers.update(HEADERS)
        return response


async def playground(request: Request) -> FileResponse:
    """The page at /."""
    del request
    return FileResponse(DIRECTORY / "index.html", headers=HEADERS)


async def docs(request: Request) -> FileResponse:
    """The page at /docs, which shows /openapi.json."""
    del request
    return FileResponse(DIRECTORY / "docs.html", headers=HEADERS)
