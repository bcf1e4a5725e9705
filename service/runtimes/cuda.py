"""Functions of tensors as CUDA graphs: one launch in place of one for each kernel."""

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, Final

import torch
from torch import Tensor

from service.runtimes.padded import SIZES, Padded, Rows

WARM_UPS: Final = 3
LANES: Final = 2

STREAMS: Final = Lock()
"""Held to queue work and to capture it: torch has 32 streams in all and gives them out again, and
what another model queues on a stream that is being captured would become a part of the graph.
"""

Function = Callable[..., tuple[Tensor, ...]]


class Captured:
    """A function for batches of ``size`` rows, captured on ``stream``; a Slot.

    Rows go from pinned memory to the device, through the graph and back to pinned memory, all of it
    queued on the stream, so that the host waits once. ``pool`` is the memory of the graphs that run
    on this stream, one at a time.
    """

    def __init__(
        self,
        function: Function,
        shapes: Sequence[tuple[int, ...]],
        size: int,
        stream: torch.cuda.Stream,
        pool: Any,
    ) -> None:
        self._stream = stream
        self._ended = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self._graph = torch.cuda.CUDAGraph()
        self._rows = 0
        with torch.inference_mode():
            self._given = [torch.zeros(size, *shape, pin_memory=True) for shape in shapes]
            self._inputs = [torch.zeros(size, *shape, device="cuda") for shape in shapes]
            self._outputs = self._capture(function, pool)
            self._taken = [torch.zeros(output.shape, pin_memory=True) for output in self._outputs]

    def _capture(self, function: Function, pool: Any) -> tuple[Tensor, ...]:
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            for _ in range(WARM_UPS):  # libraries allocate, and choose their kernels
                function(*self._inputs)
        self._stream.synchronize()
        # Other threads may be serving other models: what they do on the device is no error here.
        capture = torch.cuda.graph(
            self._graph, pool=pool, stream=self._stream, capture_error_mode="thread_local"
        )
        with STREAMS, capture:
            return function(*self._inputs)

    @torch.inference_mode()
    def start(self, inputs: Rows) -> None:
        self._ended.synchronize()  # of a batch that was never finished
        self._rows = len(inputs[0])
        for given, array in zip(self._given, inputs, strict=True):
            given.numpy()[: self._rows] = array
        with STREAMS, torch.cuda.stream(self._stream):
            for to, given in zip(self._inputs, self._given, strict=True):
                to[: self._rows].copy_(given[: self._rows], non_blocking=True)
            self._graph.replay()
            for taken, output in zip(self._taken, self._outputs, strict=True):
                taken[: self._rows].copy_(output[: self._rows], non_blocking=True)
            self._ended.record(self._stream)

    def finish(self) -> Rows:
        self._ended.synchronize()
        return tuple(taken.numpy()[: self._rows].copy() for taken in self._taken)


def captured(function: Function, shapes: Sequence[tuple[int, ...]]) -> Padded:
    """The function at every size, in lanes with a stream each.

    Raises RuntimeError where a graph cannot hold the function, or where memory is short.
    """
    lanes = []
    for _ in range(LANES):
        stream, pool = torch.cuda.Stream(), torch.cuda.graph_pool_handle()  # type: ignore[no-untyped-call]
        # The largest first: the smaller ones find room in what it took.
        sizes = sorted(SIZES, reverse=True)
        lanes.append({size: Captured(function, shapes, size, stream, pool) for size in sizes})
    return Padded(lanes)
