"""A step as one CUDA graph: one launch in place of some hundred, which small networks wait for.

What a graph reads it reads at fixed places, so inputs are copied there; what it computes with, such
as the learning rate, must be among them.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import torch
from torch import Tensor

WARM_UPS: Final = 3

Work = Callable[[Sequence[Tensor]], Tensor]


class Graph(Protocol):
    """What keeps the kernels of a piece of work and launches them again."""

    def warm_up(self, work: Callable[[], Tensor]) -> Tensor:
        """Do the work as it will be captured."""

    def capture(self, work: Callable[[], Tensor]) -> Tensor:
        """Keep the work without doing it. Returns where each replay leaves its answer."""

    def replay(self) -> None:
        """Do the work that is kept."""


class CudaGraph:
    """torch.cuda.CUDAGraph, with the stream that it is captured on."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._graph = torch.cuda.CUDAGraph()
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def warm_up(self, work: Callable[[], Tensor]) -> Tensor:
        """While libraries allocate and choose their kernels."""
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            answer = work()
        current.wait_stream(self._stream)
        return answer

    def capture(self, work: Callable[[], Tensor]) -> Tensor:
        """Raises RuntimeError where the work waits for the device or has the host copy to it."""
        with torch.cuda.graph(self._graph, stream=self._stream):
            return work()

    def replay(self) -> None:
        """On the current stream."""
        self._graph.replay()


class Replayed:
    """Work on tensors of always the same shapes: done WARM_UPS times, then captured and replayed.

    ``rows`` is the size of the batches that it is for.
    """

    def __init__(self, graph: Graph, rows: int) -> None:
        self.rows = rows
        self._graph = graph
        self._left = WARM_UPS
        self._inputs: list[Tensor] = []
        self._answer: Tensor | None = None

    def __call__(self, work: Work, inputs: Sequence[Tensor]) -> Tensor:
        """The answer of ``work``, which is the same at every call; read it before the next."""
        if self._left:
            self._left -= 1
            return self._graph.warm_up(lambda: work(inputs))
        if self._answer is None:
            self._inputs = [given.clone() for given in inputs]
            self._answer = self._graph.capture(lambda: work(self._inputs))
        for place, given in zip(self._inputs, inputs, strict=True):
            place.copy_(given)
        self._graph.replay()
        return self._answer
