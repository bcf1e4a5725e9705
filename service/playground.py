"""The playground: the files of a page that talks to the public API and to nothing else."""

from pathlib import Path
from typing import Any, Final

from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles

DIRECTORY: Final = Path(__file__).parent / "static"
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Cache-Control": "no-cache",  # ask again, or modules of two versions may meet in one page
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Files(StaticFiles):
    """The page's style sheet, icon and modules."""

    def __init__(self) -> None:
        super().__init__(directory=DIRECTORY)

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers.update(HEADERS)
        return response


async def page() -> FileResponse:
    """The page itself."""
    return FileResponse(DIRECTORY / "index.html", headers=HEADERS)
