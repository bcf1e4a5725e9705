"""The blocking client."""

from types import TracebackType
from typing import Self, TypeVar

import httpx
from numpy.typing import ArrayLike

from vae_client import _protocol
from vae_client._exceptions import TransportError
from vae_client._protocol import Call, Condition, Target
from vae_client._results import Encoding, FloatArray, ModelInfo, Samples, Scores

T = TypeVar("T")


class Client:
    """Calls one server; may be shared by threads, keeps its connections until closed.

    ``model`` and ``version`` choose what the verbs run on; without them it is the server's default
    model in its latest version. ``timeout`` is in seconds, for connecting, for sending and for the
    wait for the reply; the server is told, and drops work that nobody waits for. ``transport`` is
    httpx's, for retries, proxies or tests.

    Rows are the first axis of every array, also for a single row. Anything that ``numpy.asarray``
    takes is sent as float32. Every call raises a subclass of VAEError when it fails.
    """

    def __init__(
        self,
        base_url: str,
        *,
        model: str | None = None,
        version: int | None = None,
        api_key: str | None = None,
        timeout: float = 30.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._target = Target(model, version)
        self._http = httpx.Client(
            **_protocol.settings(base_url, api_key, timeout), transport=transport
        )

    def encode(
        self,
        x: ArrayLike,
        *,
        condition: Condition = None,
        sample: bool = False,
        seed: int | None = None,
    ) -> Encoding:
        """q(z|x) of each row of ``x``, (rows, *shape) or (rows, size); with draws if ``sample``.

        The same ``seed`` gives the same draw for the same row number, whatever the other rows.
        ``condition`` is, here as in every call, for a conditional model: one class, or one a row;
        or the numbers that it is told, (numbers,) or (rows, numbers).
        """
        return self._send(self._target.encode(x, condition, sample, seed))

    def decode(self, z: ArrayLike, *, condition: Condition = None) -> FloatArray:
        """The mean of p(x|z), (rows, *shape), of each row of ``z``, (rows, latent_dim)."""
        return self._send(self._target.decode(z, condition))

    def sample(
        self,
        n: int = 1,
        *,
        condition: Condition = None,
        seed: int | None = None,
        temperature: float = 1.0,
    ) -> Samples:
        """``n`` new rows, decoded from draws of the prior, deviations times ``temperature``."""
        return self._send(self._target.sample(n, condition, seed, temperature))

    def reconstruct(
        self,
        x: ArrayLike,
        *,
        condition: Condition = None,
        sample: bool = False,
        seed: int | None = None,
    ) -> FloatArray:
        """Each row of ``x`` encoded and decoded, from mu or, if ``sample``, from a draw."""
        return self._send(self._target.reconstruct(x, condition, sample, seed))

    def score(
        self, x: ArrayLike, *, condition: Condition = None, samples: int = 1, seed: int = 0
    ) -> Scores:
        """The ELBO of each row of ``x`` and its parts, over ``samples`` draws of z."""
        return self._send(self._target.score(x, condition, samples, seed))

    def models(self) -> list[ModelInfo]:
        """The latest version of every model on the server."""
        return self._send(_protocol.models())

    def model(self, name: str | None = None) -> ModelInfo:
        """The model ``name`` in its latest version; without a name, what the verbs run on."""
        target = self._target if name is None else Target(name)
        return self._send(target.info())

    def ready(self) -> bool:
        """Whether the server takes requests; False also when it cannot be reached."""
        try:
            return self._send(_protocol.ready())
        except TransportError:
            return False

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _send(self, call: Call[T]) -> T:
        with _protocol.transport_errors():
            response = self._http.request(**call.arguments())
        return call.parse(response)
