"""Functions of tensors as CUDA graphs: one launch instead of one for each kernel."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any, Final

import torch
from torch import Tensor

from service.runtimes.padded import SIZES, PaddedGraph, Rows

WARM_UPS: Final = 3
REPLICAS: Final = 2

CAPTURE_PRIORITY: Final = -1
"""Of the streams that capture. torch hands out the 32 streams of a priority in turn, so that models
share streams, and work that another model queues on a stream during a capture would become a part
of the graph. Batches run on streams of priority 0.
"""

_capturing: Final = Lock()
"""Held during a capture: two captures may get the same stream. No batch waits for it."""

Function = Callable[..., tuple[Tensor, ...]]


class CapturedGraph:
    """A function for batches of ``size`` rows as a CUDA graph that runs on ``stream``.

    Rows are copied from pinned memory to the device, through the graph and back to pinned memory,
    all of it queued on the stream, so that the host waits once. ``pool`` is the memory of the
    graphs that run on this stream, one at a time. Implements ``FixedBatch``.
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
        self._finished = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self._graph = torch.cuda.CUDAGraph()
        self._rows = 0
        with torch.inference_mode():
            self._host_inputs = [torch.zeros(size, *shape, pin_memory=True) for shape in shapes]
            self._inputs = [torch.zeros(size, *shape, device="cuda") for shape in shapes]
            self._outputs = self._capture(function, pool)
            self._host_outputs = [
                torch.zeros(output.shape, pin_memory=True) for output in self._outputs
            ]

    def _capture(self, function: Function, pool: Any) -> tuple[Tensor, ...]:
        with _capturing, current_stream_restored():
            stream = torch.cuda.Stream(priority=CAPTURE_PRIORITY)  # type: ignore[no-untyped-call]
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(WARM_UPS):  # libraries allocate memory and choose kernels
                    function(*self._inputs)
            stream.synchronize()
            # thread_local: other threads may use the device meanwhile, for other models
            with torch.cuda.graph(
                self._graph, pool=pool, stream=stream, capture_error_mode="thread_local"
            ):
                return function(*self._inputs)

    @torch.inference_mode()
    def start(self, inputs: Rows) -> None:
        self._finished.synchronize()  # of a batch for which nobody called finish
        self._rows = len(inputs[0])
        for host, array in zip(self._host_inputs, inputs, strict=True):
            host.numpy()[: self._rows] = array
        with torch.cuda.stream(self._stream):
            for device, host in zip(self._inputs, self._host_inputs, strict=True):
                device[: self._rows].copy_(host[: self._rows], non_blocking=True)
            self._graph.replay()
            for host, device in zip(self._host_outputs, self._outputs, strict=True):
                host[: self._rows].copy_(device[: self._rows], non_blocking=True)
            self._finished.record(self._stream)

    def finish(self) -> Rows:
        self._finished.synchronize()
        return tuple(host.numpy()[: self._rows].copy() for host in self._host_outputs)


@contextmanager
def current_stream_restored() -> Iterator[None]:
    """``torch.cuda.graph`` leaves the thread on the capturing stream if the capture fails."""
    stream = torch.cuda.current_stream()
    try:
        yield
    finally:
        torch.cuda.set_stream(stream)


def capture(function: Function, shapes: Sequence[tuple[int, ...]]) -> PaddedGraph:
    """Capture the function at every size, in replicas with a stream each.

    Raises RuntimeError if a CUDA graph cannot hold the function, or memory runs out.
    """
    replicas = []
    for _ in range(REPLICAS):
        stream, pool = torch.cuda.Stream(), torch.cuda.graph_pool_handle()  # type: ignore[no-untyped-call]
        # The largest first: the smaller ones find room in its memory.
        sizes = sorted(SIZES, reverse=True)
        replicas.append(
            {size: CapturedGraph(function, shapes, size, stream, pool) for size in sizes}
        )
    return PaddedGraph(replicas)
