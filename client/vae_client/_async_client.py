"""The client for asyncio."""

from types import TracebackType
from typing import Self, TypeVar

import httpx
from numpy.typing import ArrayLike

from vae_client import _protocol
from vae_client._exceptions import TransportError
from vae_client._protocol import Call, Condition, Target
from vae_client._results import Encoding, FloatArray, ModelInfo, Samples, Scores

T = TypeVar("T")


class AsyncClient:
    """The client for asyncio: the methods of Client as coroutines."""

    def __init__(
        self,
        base_url: str,
        *,
        model: str | None = None,
        version: int | None = None,
        api_key: str | None = None,
        timeout: float = 30.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._target = Target(model, version)
        self._http = httpx.AsyncClient(
            **_protocol.settings(base_url, api_key, timeout), transport=transport
        )

    async def encode(
        self,
        x: ArrayLike,
        *,
        condition: Condition = None,
        sample: bool = False,
        seed: int | None = None,
    ) -> Encoding:
        """See Client.encode."""
        return await self._send(self._target.encode(x, condition, sample, seed))

    async def decode(self, z: ArrayLike, *, condition: Condition = None) -> FloatArray:
        """See Client.decode."""
        return await self._send(self._target.decode(z, condition))

    async def sample(
        self,
        n: int = 1,
        *,
        condition: Condition = None,
        seed: int | None = None,
        temperature: float = 1.0,
    ) -> Samples:
        """See Client.sample."""
        return await self._send(self._target.sample(n, condition, seed, temperature))

    async def reconstruct(
        self,
        x: ArrayLike,
        *,
        condition: Condition = None,
        sample: bool = False,
        seed: int | None = None,
    ) -> FloatArray:
        """See Client.reconstruct."""
        return await self._send(self._target.reconstruct(x, condition, sample, seed))

    async def score(
        self, x: ArrayLike, *, condition: Condition = None, samples: int = 1, seed: int = 0
    ) -> Scores:
        """See Client.score."""
        return await self._send(self._target.score(x, condition, samples, seed))

    async def models(self) -> list[ModelInfo]:
        """See Client.models."""
        return await self._send(_protocol.models())

    async def model(self, name: str | None = None) -> ModelInfo:
        """See Client.model."""
        target = self._target if name is None else Target(name)
        return await self._send(target.info())

    async def ready(self) -> bool:
        """See Client.ready."""
        try:
            return await self._send(_protocol.ready())
        except TransportError:
            return False

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def _send(self, call: Call[T]) -> T:
        with _protocol.transport_errors():
            response = await self._http.request(**call.arguments())
        return call.parse(response)
