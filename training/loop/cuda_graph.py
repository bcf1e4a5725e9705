"""A training step as one CUDA graph: one launch instead of some hundred kernel launches.

A captured graph reads its inputs at fixed addresses, so inputs are copied there before each replay.
Numbers that change between steps, such as the learning rate, must be inputs, too.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import torch
from torch import Tensor

WARM_UPS: Final = 3

StepFunction = Callable[[Sequence[Tensor]], Tensor]


class CapturableGraph(Protocol):
    """Captures the kernels of a function once and launches them again."""

    def warm_up(self, work: Callable[[], Tensor]) -> Tensor:
        """Run the function on the stream that it will be captured on."""

    def capture(self, work: Callable[[], Tensor]) -> Tensor:
        """Capture the function without running it. Returns the tensor that each replay fills."""

    def replay(self) -> None:
        """Run the captured kernels."""


class CudaGraph:
    """A torch.cuda.CUDAGraph with its own stream."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._graph = torch.cuda.CUDAGraph()
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def warm_up(self, work: Callable[[], Tensor]) -> Tensor:
        """Run on the capture stream, so that libraries allocate and choose kernels beforehand."""
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            output = work()
        current.wait_stream(self._stream)
        return output

    def capture(self, work: Callable[[], Tensor]) -> Tensor:
        """Raises RuntimeError if the function waits for the device or copies from the host.

        ``torch.cuda.graph`` stays on its stream if the capture fails. The outer context returns the
        thread to the current stream in any case.
        """
        current = torch.cuda.current_stream(self._device)
        with torch.cuda.stream(current), torch.cuda.graph(self._graph, stream=self._stream):
            return work()

    def replay(self) -> None:
        """Launch on the current stream."""
        self._graph.replay()


class CapturedStep:
    """A function of tensors of fixed shapes: run WARM_UPS times, then captured and replayed.

    ``rows`` is the size of the batches that the graph is captured for.
    """

    def __init__(self, graph: CapturableGraph, rows: int) -> None:
        self.rows = rows
        self._graph = graph
        self._warm_ups_left = WARM_UPS
        self._inputs: list[Tensor] = []
        self._output: Tensor | None = None

    def __call__(self, work: StepFunction, inputs: Sequence[Tensor]) -> Tensor:
        """The output of ``work``, which must be the same function at every call.

        The next call overwrites the output.
        """
        if self._warm_ups_left:
            self._warm_ups_left -= 1
            return self._graph.warm_up(lambda: work(inputs))
        if self._output is None:
            self._inputs = [tensor.clone() for tensor in inputs]
            self._output = self._graph.capture(lambda: work(self._inputs))
        for captured, tensor in zip(self._inputs, inputs, strict=True):
            captured.copy_(tensor)
        self._graph.replay()
        return self._output
