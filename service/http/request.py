"""A request of a verb: bytes and query to rows and options, valid or an error."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import ValidationError

from service.arrays import Float32
from service.errors import InvalidInput, UnsupportedFormat
from service.models.options import Options
from service.models.verbs import Verb
from service.wire import json
from service.wire.formats import JSON, Format
from service.wire.rows import RowSpec


def read(
    verb: Verb,
    specs: Mapping[str, RowSpec],
    form: Format,
    body: bytes,
    query: Mapping[str, str],
) -> tuple[Float32 | None, Options]:
    """The rows, when the verb has them, and the options. ``specs`` are those of the model.

    Options stand among the members of a JSON body or in the query string, not in both. Raises
    Malformed, UnsupportedFormat or InvalidInput.
    """
    rows = None
    if verb.rows is not None:
        rows, values = form.read(body, specs[verb.rows])
    elif not body:
        values = {}
    elif form is JSON:
        values = json.read_options(body)
    else:
        raise UnsupportedFormat(
            f"/{verb.name} takes options alone", expected=JSON.media_type, given=form.media_type
        )
    return rows, _options(verb.options, values, query)


@cache
def _defaults(schema: type[Options]) -> Options:
    return schema()


def _options(schema: type[Options], values: Mapping[str, Any], query: Mapping[str, str]) -> Options:
    if values and query:
        raise InvalidInput(
            "options stand in the body and in the query string",
            expected="all of them in one place",
            given=f"body: {', '.join(values)}; query: {', '.join(query)}",
        )
    if not values and not query:
        return _defaults(schema)
    try:
        if query:  # where everything is text
            return schema.model_validate_strings(query)
        return schema.model_validate(values, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(map(str, first["loc"]))
        known = ", ".join(schema.model_fields) or "no options"
        unknown = first["type"] == "extra_forbidden"
        raise InvalidInput(
            f"unknown option {name!r}" if unknown else f"option {name!r}: {first['msg']}",
            expected=known if unknown else schema.model_fields[name].description,
            given=first["input"],
        ) from None
