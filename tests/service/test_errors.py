"""Problems: whatever a caller sent, they can be written."""

import json

from service.errors import InvalidInput, ServiceError
from service.http.endpoint import LAST_RESORT, problem


def test_text_that_utf8_cannot_hold_is_escaped() -> None:
    error = InvalidInput("no class \ud800", expected="a class", given="\ud800")
    body = json.loads(error.problem())
    assert body["given"] == "\\ud800"
    assert body["detail"] == "no class \\ud800"


def test_an_error_whose_reply_cannot_be_written_is_a_constant_500() -> None:
    class Unwritable(InvalidInput):
        def problem(self) -> bytes:
            raise UnicodeEncodeError("utf-8", "\ud800", 0, 1, "no")

    error: ServiceError = Unwritable("no")
    reply = problem(error)
    assert (reply.status, reply.body) == (500, LAST_RESORT)
    assert json.loads(reply.body)["status"] == 500
