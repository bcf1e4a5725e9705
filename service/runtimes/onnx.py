"""onnxruntime: the default runtime, on the CPU and on CUDA."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import numpy as np

from service.arrays import Precision
from service.runtimes.padded import SIZES, PaddedGraph, Rows
from service.runtimes.runtime import RuntimeUnusable
from vae.bundle import Bundle
from vae.graphs import Graph
from vae.onnxruntime_no_telemetry import onnxruntime

PROVIDERS: Final = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
TF32_OF: Final[Mapping[str, str]] = {"float32": "0", "tf32": "1"}
"""The provider's use_tf32 by precision."""


class OnnxRuntime:
    """One session for each graph, from the verified bytes of the bundle.

    Sessions get no path, because onnxruntime would follow external data out of the bundle.
    """

    def __init__(
        self, bundle: Bundle, *, device: str, threads: int, precision: Precision = "float32"
    ) -> None:
        provider = PROVIDERS[device]
        if provider not in onnxruntime.get_available_providers():
            raise RuntimeUnusable(
                f"device {device!r} was asked for, but this onnxruntime has only "
                f"{', '.join(onnxruntime.get_available_providers())}"
            )
        options = provider_options(device, precision)
        if device == "cuda":
            onnxruntime.preload_dlls()  # from NVIDIA's packages, where the linker does not look
        shapes = bundle.manifest.row_shapes
        self._runs: dict[str, Callable[[Rows], Rows]] = {}
        for graph in bundle.manifest.graphs:
            session = _session(bundle.files[graph.file], provider, options, threads)
            self._runs[graph.name] = (
                partial(_run, session, graph)
                if device == "cpu"
                else bind(session, graph, shapes, device).run
            )

    def run(self, graph: Graph, inputs: Rows) -> Rows:
        return self._runs[graph.name](inputs)


class BoundSession:
    """A session with buffers on the device for batches of ``size`` rows, by IO binding.

    Rows are copied there and back once, and onnxruntime allocates nothing for them. Implements
    ``FixedBatch``.
    """

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        graph: Graph,
        shapes: Mapping[str, tuple[int, ...]],
        size: int,
        device: str,
    ) -> None:
        self._session = session
        self._rows = 0
        self._host_inputs = [np.zeros((size, *shapes[name]), np.float32) for name in graph.inputs]
        self._inputs = {name: _buffer((size, *shapes[name]), device) for name in graph.inputs}
        self._outputs = {name: _buffer((size, *shapes[name]), device) for name in graph.outputs}
        self._binding = session.io_binding()
        for name, value in self._inputs.items():
            self._binding.bind_ortvalue_input(name, value)
        for name, value in self._outputs.items():
            self._binding.bind_ortvalue_output(name, value)

    def start(self, inputs: Rows) -> None:
        self._rows = len(inputs[0])
        for host, array, value in zip(
            self._host_inputs, inputs, self._inputs.values(), strict=True
        ):
            host[: self._rows] = array
            value.update_inplace(host)
        self._binding.synchronize_inputs()
        self._session.run_with_iobinding(self._binding)
        self._binding.synchronize_outputs()

    def finish(self) -> Rows:
        return tuple(value.numpy()[: self._rows].copy() for value in self._outputs.values())


def bind(
    session: onnxruntime.InferenceSession,
    graph: Graph,
    shapes: Mapping[str, tuple[int, ...]],
    device: str,
) -> PaddedGraph:
    """Bind a session at every size, in one replica, since ``run_with_iobinding`` waits."""
    return PaddedGraph(
        [{size: BoundSession(session, graph, shapes, size, device) for size in SIZES}]
    )


def provider_options(device: str, precision: Precision) -> dict[str, str]:
    """For the session's provider. Raises RuntimeUnusable when the device lacks the precision."""
    if precision not in TF32_OF or (device, precision) == ("cpu", "tf32"):
        raise RuntimeUnusable(
            f"precision {precision!r} was asked for, but onnxruntime computes in float32, "
            "on cuda also in tf32; use the torch runtime for bfloat16"
        )
    if device == "cpu":
        return {}
    return {
        "use_tf32": TF32_OF[precision],  # the default is 1
        "cudnn_conv_algo_search": "HEURISTIC",  # the default tries all of them for each new shape
        "arena_extend_strategy": "kSameAsRequested",  # the default doubles what it holds
    }


def session_options(threads: int) -> onnxruntime.SessionOptions:
    """The options that were fastest (docs/experiments.md, "Options of onnxruntime")."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # The arena keeps memory for every shape that was seen.
    options.enable_cpu_mem_arena = False
    # Threads that spin between batches take CPU time from parsing and writing.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _run(session: onnxruntime.InferenceSession, graph: Graph, inputs: Rows) -> Rows:
    return tuple(session.run(graph.outputs, dict(zip(graph.inputs, inputs, strict=True))))


def _buffer(shape: tuple[int, ...], device: str) -> Any:
    return onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, np.float32, device, 0)


def _session(
    model: bytes, provider: str, provider_options: Mapping[str, str], threads: int
) -> onnxruntime.InferenceSession:
    try:
        session = onnxruntime.InferenceSession(
            model, session_options(threads), providers=[(provider, dict(provider_options))]
        )
    except Exception as error:  # each kind of failure has its own class
        raise RuntimeUnusable(f"onnxruntime cannot load the graph: {error}") from None
    if session.get_providers()[0] != provider:  # it falls back to the CPU with a log line alone
        raise RuntimeUnusable(f"onnxruntime could not start {provider} on this machine")
    return session
