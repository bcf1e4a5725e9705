"""The synchronous client."""

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
    """A client of one server. Threads may share it; it keeps its connections until it is closed.

    ``model`` and ``version`` choose the model that the verbs run on; the default is the latest
    version of the server's default model. ``timeout`` limits connecting, sending and waiting for
    the reply, in seconds each; the client also sends it to the server, which drops a request whose
    timeout has expired. ``transport`` is httpx's, for retries, proxies or tests.

    The first axis of every array is the rows, also for a single row. Arrays are sent as float32;
    values that are not real numbers raise TypeError. A call that fails raises a subclass of
    VAEError.
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
        """q(z|x) of each row of ``x``, (rows, *shape) or (rows, size); with a draw if ``sample``.

        The same ``seed`` gives the same draw for the same row number, independent of the other
        rows. A conditional model needs ``condition`` in this and every other verb: one class for
        all rows, a list with one class per row, or the values of its condition columns, (columns,)
        or (rows, columns).
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
        """``n`` rows decoded from draws of the prior, whose standard deviation is multiplied by
        ``temperature``.
        """
        return self._send(self._target.sample(n, condition, seed, temperature))

    def reconstruct(
        self,
        x: ArrayLike,
        *,
        condition: Condition = None,
        sample: bool = False,
        seed: int | None = None,
    ) -> FloatArray:
        """Encode each row of ``x`` and decode its mu, or a draw from q(z|x) if ``sample``."""
        return self._send(self._target.reconstruct(x, condition, sample, seed))

    def score(
        self, x: ArrayLike, *, condition: Condition = None, samples: int = 1, seed: int = 0
    ) -> Scores:
        """The ELBO of each row of ``x`` and its parts, averaged over ``samples`` draws of z."""
        return self._send(self._target.score(x, condition, samples, seed))

    def models(self) -> list[ModelInfo]:
        """The latest version of every model on the server."""
        return self._send(_protocol.models())

    def model(self, name: str | None = None) -> ModelInfo:
        """The latest version of the model ``name``; by default the model of the verbs."""
        target = self._target if name is None else Target(name)
        return self._send(target.info())

    def ready(self) -> bool:
        """Whether the server accepts requests; False also if it cannot be reached."""
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
