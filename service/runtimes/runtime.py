"""The interface of inference engines.

A runtime is chosen by name or by import string when a model loads, so that importing the service
loads no engine.
"""

from importlib import import_module
from typing import Final, Protocol

from service.arrays import Float32, Precision
from vae.bundle import Bundle
from vae.graphs import Graph

RUNTIMES: Final = {
    "onnx": "service.runtimes.onnx:OnnxRuntime",
    "torch": "service.runtimes.torch:TorchRuntime",
}


class RuntimeUnusable(Exception):
    """The runtime or its device cannot be used; the message says which and why."""


class Runtime(Protocol):
    """Runs the graphs of one bundle. Called from several threads at once."""

    def __init__(self, bundle: Bundle, *, device: str, threads: int, precision: Precision) -> None:
        """Load the graphs.

        Raises RuntimeUnusable if ``device`` is missing or cannot compute in ``precision``.
        """

    def run(self, graph: Graph, inputs: tuple[Float32, ...]) -> tuple[Float32, ...]:
        """The outputs of ``graph``, row by row, for arrays with equally many rows."""


def resolve(name: str) -> type[Runtime]:
    """The runtime class for a name in RUNTIMES or for ``package.module:Class``.

    Raises RuntimeUnusable if the class does not exist or a package that it needs is missing.
    """
    module, separator, attribute = RUNTIMES.get(name, name).partition(":")
    if not separator:
        known = ", ".join(RUNTIMES)
        raise RuntimeUnusable(f"unknown runtime {name!r}: expected {known} or package.module:Class")
    try:
        runtime: type[Runtime] = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise RuntimeUnusable(f"runtime {name!r} cannot be loaded: {error}") from None
    return runtime
