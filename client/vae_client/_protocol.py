"""The HTTP API as pure functions: the request of each verb, and how its reply is read.

Both clients send the requests that these functions build. Paths, headers and formats appear only
in this module, which does no I/O.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import methodcaller
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx
import numpy as np
from numpy.typing import ArrayLike, NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from vae_client._exceptions import ReplyError, TransportError, Unavailable, status_error
from vae_client._results import Encoding, FloatArray, ModelInfo, Samples, Scores

T = TypeVar("T")
SAFETENSORS = "application/x-safetensors"
JSON = "application/json"
SERVER_TIMEOUT_SHARE = 0.9
MAX_TIMEOUT_SECONDS = 86_400

Class = str | int
Condition = Class | Sequence[Class] | ArrayLike | None
"""The condition of a conditional model: one class for all rows or a list with one class per row; or
the values of its condition columns, (columns,) for all rows or (rows, columns).
"""


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request, and ``parse``, which turns its reply into a result or raises a VAEError."""

    method: str
    path: str
    parse: Callable[[httpx.Response], T]
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None

    def arguments(self) -> dict[str, Any]:
        """The arguments of httpx's ``request``."""
        return {
            "method": self.method,
            "url": self.path,
            "params": self.params,
            "headers": self.headers,
            "content": self.content,
        }


@dataclass(frozen=True)
class Target:
    """The model that a verb runs on: the server's default, or one by name and version."""

    model: str | None = None
    version: int | None = None

    def __post_init__(self) -> None:
        if self.version is not None and self.model is None:
            raise ValueError(f"version {self.version} is given without the name of its model")

    @property
    def path(self) -> str:
        """The prefix of the model's paths; empty for the default model."""
        model = "" if self.model is None else f"/models/{quote(self.model, safe='')}"
        return model if self.version is None else f"{model}/versions/{self.version}"

    def encode(
        self, x: ArrayLike, condition: Condition, sample: bool, seed: int | None
    ) -> Call[Encoding]:
        return self._verb("encode", _encoding, {"inputs": x}, condition, sample=sample, seed=seed)

    def decode(self, z: ArrayLike, condition: Condition) -> Call[FloatArray]:
        return self._verb("decode", _outputs, {"latents": z}, condition)

    def sample(
        self, n: int, condition: Condition, seed: int | None, temperature: float
    ) -> Call[Samples]:
        options = {"n": n, "seed": seed, "temperature": temperature}
        return self._verb("sample", _samples, {}, condition, **options)

    def reconstruct(
        self, x: ArrayLike, condition: Condition, sample: bool, seed: int | None
    ) -> Call[FloatArray]:
        options = {"sample": sample, "seed": seed}
        return self._verb("reconstruct", _outputs, {"inputs": x}, condition, **options)

    def score(self, x: ArrayLike, condition: Condition, samples: int, seed: int) -> Call[Scores]:
        return self._verb("score", _scores, {"inputs": x}, condition, samples=samples, seed=seed)

    def info(self) -> Call[ModelInfo]:
        if self.model is None:
            return Call("GET", "/models", _default_model)
        return Call("GET", self.path, lambda response: _model(_json(response)))

    def _verb(
        self,
        verb: str,
        parse: Callable[[httpx.Response], T],
        arrays: Mapping[str, ArrayLike],
        condition: Condition,
        **options: float | None,
    ) -> Call[T]:
        """POST the rows as safetensors, with the options in the query string.

        A list of conditions can exceed the length of a query string, so it goes into a JSON body
        together with rows and options.
        """
        rows = {name: _float32(values) for name, values in arrays.items()}
        given = {name: value for name, value in options.items() if value is not None}
        path, headers = f"{self.path}/{verb}", {"Accept": SAFETENSORS}
        if not (condition is None or isinstance(condition, str | int)):
            headers["Content-Type"] = JSON
            return Call("POST", path, parse, {}, headers, _json_body(rows, condition, given))
        # str() of a number, of numpy's too; lower() for True and False.
        params = {name: str(value).lower() for name, value in given.items()}
        if condition is not None:
            params["condition"] = str(condition)
        if not rows:
            return Call("POST", path, parse, params, headers)
        headers["Content-Type"] = SAFETENSORS
        return Call("POST", path, parse, params, headers, save(rows))


def _float32(values: ArrayLike) -> NDArray[np.float32]:
    """``values`` as a float32 array in C order, as ``safetensors.numpy.save`` requires.

    Raises TypeError for values that are not real numbers, such as complex numbers or strings.
    """
    array = np.asarray(values)
    return array.astype(np.float32, order="C", casting="same_kind", copy=False)


def _json_body(
    rows: Mapping[str, FloatArray], condition: ArrayLike, options: Mapping[str, float]
) -> bytes:
    arrays = {**rows, "condition": np.asarray(condition)}
    members = {**options, **{name: array.tolist() for name, array in arrays.items()}}
    return json.dumps(members, default=methodcaller("item")).encode()  # "item" for numpy numbers


def models() -> Call[list[ModelInfo]]:
    return Call("GET", "/models", lambda response: _models(_json(response)))


def ready() -> Call[bool]:
    return Call("GET", "/health/ready", _ready)


def settings(base_url: str, api_key: str | None, timeout: float) -> dict[str, Any]:
    """The settings that all requests of a client share, as arguments of httpx's clients.

    X-Timeout-Ms is 90% of ``timeout`` (seconds), so that the server's 504 arrives before the client
    stops waiting.
    """
    _check_address(base_url)
    if not 0 < timeout <= MAX_TIMEOUT_SECONDS:
        raise ValueError(f"timeout must be from 0 to {MAX_TIMEOUT_SECONDS} seconds, not {timeout}")
    milliseconds = math.ceil(timeout * 1000 * SERVER_TIMEOUT_SHARE)
    headers = {"X-Timeout-Ms": str(milliseconds).encode()}
    if api_key is not None:
        headers["X-API-Key"] = api_key.encode()
    return {"base_url": base_url, "headers": headers, "timeout": timeout}


@contextmanager
def transport_errors() -> Iterator[None]:
    """Raise a TransportError in place of httpx's exceptions."""
    try:
        yield
    except httpx.RequestError as error:
        reason = str(error) or type(error).__name__
        raise TransportError(f"{error.request.method} {error.request.url}: {reason}") from error


def _check_address(url: str) -> None:
    """Raises ValueError for an address with which every call would fail."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(f"{url!r} is not the address of a server: {error}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError(f"{url!r} is not the address of a server; expected http://host:port")


def _ready(response: httpx.Response) -> bool:
    try:
        _check(response)
    except Unavailable:
        return False
    return True


def _encoding(response: httpx.Response) -> Encoding:
    arrays = _arrays(response, "mu", "logvar")
    return Encoding(arrays["mu"], arrays["logvar"], arrays.get("z"))


def _outputs(response: httpx.Response) -> FloatArray:
    return _arrays(response, "outputs")["outputs"]


def _samples(response: httpx.Response) -> Samples:
    arrays = _arrays(response, "outputs", "latents")
    return Samples(arrays["outputs"], arrays["latents"])


def _scores(response: httpx.Response) -> Scores:
    names = ("elbo", "reconstruction", "kl", "p_value")
    arrays = _arrays(response, *names)
    return Scores(*(arrays[name] for name in names))


def _default_model(response: httpx.Response) -> ModelInfo:
    body = _json(response)
    default = body.get("default") if isinstance(body, dict) else None
    for model in _models(body):
        if model.name == default:
            return model
    raise ReplyError("the server has no default model; name one of those in models()")


def _models(body: Any) -> list[ModelInfo]:
    match body:
        case {"models": [*descriptions]}:
            return [_model(description) for description in descriptions]
    raise ReplyError(f"expected a list of models, got {str(body)[:200]}")


def _model(body: Any) -> ModelInfo:
    match body:
        case {
            "name": str(name),
            "version": int(version),
            "versions": [*versions],
            "input": {"kind": str(kind), "shape": [*shape]},
            "latent_dim": int(latent_dim),
        }:
            return ModelInfo(name, version, tuple(versions), kind, tuple(shape), latent_dim, body)
    raise ReplyError(f"expected the description of a model, got {str(body)[:200]}")


def _arrays(response: httpx.Response, *names: str) -> dict[str, FloatArray]:
    """The arrays of a reply. Raises ReplyError unless it has ``names`` and all are floats."""
    _check(response)
    _expect_format(response, SAFETENSORS)
    try:
        arrays = load(response.content)
    except SafetensorError as error:
        raise ReplyError(f"the reply is damaged: {error}") from None
    except KeyError as error:  # the library's answer to a dtype that numpy lacks
        raise ReplyError(f"the reply has an array of dtype {error}, not floats") from None
    if missing := [name for name in names if name not in arrays]:
        raise ReplyError(f"the reply has no {', '.join(missing)}; it has {', '.join(arrays)}")
    for name, array in arrays.items():
        if array.dtype.kind != "f":
            raise ReplyError(f"{name} in the reply is {array.dtype}, not floats")
    return arrays


def _json(response: httpx.Response) -> Any:
    _check(response)
    _expect_format(response, "application/json")
    try:
        return response.json()
    except (ValueError, RecursionError) as error:
        raise ReplyError(f"the reply is not JSON: {error}") from None


def _check(response: httpx.Response) -> None:
    if response.status_code != httpx.codes.OK:
        raise status_error(response)


def _expect_format(response: httpx.Response, expected: str) -> None:
    found = response.headers.get("Content-Type", "nothing").partition(";")[0].strip().lower()
    if found != expected:
        raise ReplyError(f"{response.url} answered with {found}; expected {expected}")
