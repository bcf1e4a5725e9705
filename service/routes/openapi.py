"""What the OpenAPI document says of a verb: bodies in every format, examples, errors."""

from collections.abc import Mapping
from typing import Any, Final

from service.errors import MEDIA_TYPE
from service.http.middleware import ADMIN_PATH, is_open
from service.models.verbs import Verb
from service.wire.formats import FORMATS, JSON, PNG

JsonSchema = dict[str, Any]

NUMBERS: Final[JsonSchema] = {"type": "array", "items": {"type": "number"}}
BINARY: Final[JsonSchema] = {"type": "string", "format": "binary"}
ROWS: Final[JsonSchema] = {
    "type": "array",
    "minItems": 1,
    "items": {"type": "array", "items": {}},
    "description": "one array a row, in the model's shape or flat; see /models/{model}",
}
PROBLEM: Final[JsonSchema] = {
    "type": "object",
    "description": "Problem Details, RFC 9457",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "expected": {"description": "what would have been right"},
        "given": {"description": "what came"},
    },
}
KEYS: Final[JsonSchema] = {
    "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "AdminKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "one of admin_keys",
    },
    "Bearer": {"type": "http", "scheme": "bearer", "description": "the same key"},
}
ERRORS: Final = {
    400: "The body is not what it claims to be",
    401: "The API key is missing or unknown",
    404: "No such model or version",
    406: "No format of Accept is offered here",
    413: "The body is too large",
    415: "The Content-Type is not read here",
    422: "Wrong shape, dtype, option or value",
    429: "The queue is full; Retry-After says when to come back",
    500: "The model failed",
    503: "Not ready, or shutting down",
    504: "The time for this request is over",
}
EXAMPLES: Final[dict[str, tuple[JsonSchema, JsonSchema]]] = {
    "encode": (
        {"inputs": [[0, 3.5, 12, 16]], "sample": False, "seed": None},
        {"mu": [[0.31, -1.2]], "logvar": [[-2.1, -0.4]]},
    ),
    "decode": ({"latents": [[0.31, -1.2]]}, {"outputs": [[0.1, 3.2, 11.8, 15.9]]}),
    "sample": (
        {"n": 1, "seed": 1, "temperature": 1.0},
        {"outputs": [[0.4, 2.9, 10.2, 15.1]], "latents": [[0.21, 0.98]]},
    ),
    "reconstruct": (
        {"inputs": [[0, 3.5, 12, 16]], "sample": False, "seed": None},
        {"outputs": [[0.1, 3.2, 11.8, 15.9]]},
    ),
    "score": (
        {"inputs": [[0, 3.5, 12, 16]], "samples": 1, "seed": 0},
        {"elbo": [-21.4], "reconstruction": [-15.1], "kl": [6.3], "p_value": [0.42]},
    ),
}


def operation(verb: Verb, path: str) -> JsonSchema:
    """The members of the verb's operation that FastAPI cannot know, since requests are read raw."""
    sent, received = EXAMPLES[verb.name]
    return {
        "parameters": [
            *_path_parameters(path),
            *_query_parameters(verb),
            *_header_parameters(),
        ],
        "requestBody": {
            "required": verb.rows is not None,
            "content": _content(_request_schema(verb), sent, binary=verb.rows is not None),
        },
        "responses": {
            "200": {
                "description": "One element a row in every array",
                "headers": {
                    "X-Model": {"schema": {"type": "string"}, "description": "name/version"},
                    "X-Request-Id": {"schema": {"type": "string"}},
                },
                "content": _content(_response_schema(verb), received, binary=True)
                | ({PNG.media_type: {"schema": BINARY}} if "outputs" in verb.outputs else {}),
            },
            **{str(status): response for status, response in problems(ERRORS).items()},
        },
    }


def _path_parameters(path: str) -> list[JsonSchema]:
    known: list[JsonSchema] = [
        {"name": "model", "schema": {"type": "string"}, "description": "a name from /models"},
        {
            "name": "version",
            "schema": {"type": "integer", "minimum": 1},
            "description": "a version from /models/{model}",
        },
    ]
    return [
        {**parameter, "in": "path", "required": True}
        for parameter in known
        if f"{{{parameter['name']}}}" in path
    ]


def problems(errors: Mapping[int, str]) -> dict[int | str, JsonSchema]:
    """The responses of an operation that are problems: what each status means here."""
    return {
        status: {"description": text, "content": {MEDIA_TYPE: {"schema": PROBLEM}}}
        for status, text in errors.items()
    }


def say_which_keys(document: JsonSchema, *, api: bool) -> None:
    """Add to the whole document how keys are presented, and which operation wants which.

    ``api`` says whether there are any but those of administrators.
    """
    document["components"].setdefault("securitySchemes", {}).update(KEYS)
    for path, operations in document["paths"].items():
        for each in operations.values():
            if ADMIN_PATH.fullmatch(path):
                each["security"] = [{"AdminKey": []}, {"Bearer": []}]
            elif api and not is_open(path):
                each["security"] = [{"ApiKey": []}, {"Bearer": []}]
                each["responses"].setdefault("401", problems(ERRORS)[401])


def leave_out_validation(document: JsonSchema) -> None:
    """Take out FastAPI's own error of a path that is none: here it is an unknown model."""
    for operations in document["paths"].values():
        for each in operations.values():
            content = each["responses"].get("422", {}).get("content", {})
            if content.pop(JSON.media_type, None) and not content:
                del each["responses"]["422"]
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)


def _content(schema: JsonSchema, example: JsonSchema, *, binary: bool) -> JsonSchema:
    content: JsonSchema = {JSON.media_type: {"schema": schema, "example": example}}
    if binary:
        for media_type in FORMATS.keys() - {JSON.media_type, PNG.media_type}:
            content[media_type] = {"schema": BINARY}
    return content


def _request_schema(verb: Verb) -> JsonSchema:
    schema = verb.options.model_json_schema()
    schema["title"] = f"{verb.name.capitalize()}Request"
    schema.pop("description", None)
    if verb.rows:
        schema["properties"] = {verb.rows: ROWS, **schema["properties"]}
        schema["required"] = [verb.rows]
    return schema


def _response_schema(verb: Verb) -> JsonSchema:
    per_row = {"type": "number"} if verb.name == "score" else {"type": "array", "items": {}}
    return {
        "title": f"{verb.name.capitalize()}Response",
        "type": "object",
        "properties": {name: {"type": "array", "items": per_row} for name in verb.outputs},
        "required": [name for name in verb.outputs if name != "z"],
    }


def _query_parameters(verb: Verb) -> list[JsonSchema]:
    properties = verb.options.model_json_schema().get("properties", {})
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": "for a body without options; " + schema.get("description", ""),
            "schema": _query_schema(schema),
        }
        for name, schema in properties.items()
    ]


def _query_schema(schema: JsonSchema) -> JsonSchema:
    """An option's schema where it is text: a list is JSON there, and so a string."""
    found = {key: schema[key] for key in schema.keys() - {"description", "title"}}
    if "anyOf" in found:
        found["anyOf"] = [each for each in found["anyOf"] if each["type"] != "array"]
    return found


def _header_parameters() -> list[JsonSchema]:
    return [
        {
            "name": "X-Timeout-Ms",
            "in": "header",
            "required": False,
            "description": "milliseconds that this request may take",
            "schema": {"type": "integer", "minimum": 1, "maximum": 999_999_999_999},
        },
        {
            "name": "X-Request-Id",
            "in": "header",
            "required": False,
            "description": "comes back in the reply",
            "schema": {"type": "string"},
        },
    ]
