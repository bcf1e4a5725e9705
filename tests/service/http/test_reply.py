"""What becomes of an error on its way to the reply."""

import weakref

import numpy as np

from service.errors import InternalError, InvalidInput, ServiceError
from service.http.reply import service_error
from service.wire import json
from service.wire.rows import RowSpec
from tests.fakes import IMAGE

SPEC = RowSpec("inputs", (3,), max_rows=4, max_pixels=100, image=IMAGE)


def test_a_refusal_holds_nothing_of_the_request() -> None:
    def refuse() -> tuple[ServiceError, weakref.ref[object]]:
        rows = np.zeros(3)
        try:
            json.read(b'{"inputs": [[1, 2, "3"]]}', SPEC)
        except InvalidInput as error:
            return service_error(error, "POST", "/encode"), weakref.ref(rows)
        raise AssertionError

    error, rows = refuse()
    assert (error.__traceback__, error.__context__) == (None, None)
    assert rows() is None


def test_what_is_no_refusal_is_hidden() -> None:
    error = service_error(ValueError("internal"), "POST", "/encode")
    assert isinstance(error, InternalError)
    assert "internal" not in error.detail
