"""onnxruntime: the default runtime, on the CPU and on CUDA."""

from typing import Final

from service.arrays import Float32
from service.runtimes.runtime import RuntimeUnusable
from vae.bundle import Bundle
from vae.engine import onnxruntime
from vae.graphs import Graph

PROVIDERS: Final = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxRuntime:
    """One session a graph, from the bundle's verified bytes.

    Sessions never see a path: onnxruntime would follow external data out of the bundle.
    """

    def __init__(self, bundle: Bundle, *, device: str, threads: int) -> None:
        provider = PROVIDERS[device]
        if provider not in onnxruntime.get_available_providers():
            raise RuntimeUnusable(
                f"device {device!r} was asked for, but this onnxruntime has only "
                f"{', '.join(onnxruntime.get_available_providers())}"
            )
        if device == "cuda":
            onnxruntime.preload_dlls()  # from NVIDIA's packages, where the linker does not look
        self._sessions = {
            graph.name: _session(bundle.files[graph.file], provider, threads)
            for graph in bundle.manifest.graphs
        }

    def run(self, graph: Graph, inputs: tuple[Float32, ...]) -> tuple[Float32, ...]:
        feeds = dict(zip(graph.inputs, inputs, strict=True))
        return tuple(self._sessions[graph.name].run(graph.outputs, feeds))


def _session(model: bytes, provider: str, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # The arena keeps the memory of the largest batch ever seen, for each new shape anew.
    options.enable_cpu_mem_arena = False
    # Threads that spin between batches burn the cores that parse and write.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(model, options, providers=[provider])
    except Exception as error:  # onnxruntime raises a class of its own for every kind of failure
        raise RuntimeUnusable(f"onnxruntime cannot load the graph: {error}") from None
    if session.get_providers()[0] != provider:  # it falls back to the CPU with no more than a log
        raise RuntimeUnusable(f"onnxruntime could not start {provider} on this machine")
    return session
