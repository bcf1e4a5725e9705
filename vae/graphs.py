"""The three graphs of a bundle: their names, inputs and outputs.

Export writes them, every runtime runs them and the golden outputs are stored under the same names,
so the signatures stand here once. Batch is always the first, symbolic dimension; noise is an input,
never drawn inside a graph.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Graph:
    """A function of arrays, row by row: ``inputs`` and ``outputs`` name its arrays in order."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def file(self) -> str:
        """The file of a bundle that holds this graph."""
        return f"{self.name}.onnx"


ENCODER = Graph("encoder", inputs=("x",), outputs=("mu", "logvar"))
DECODER = Graph("decoder", inputs=("z",), outputs=("mean",))
SCORER = Graph("scorer", inputs=("x", "z"), outputs=("log_px_z",))
GRAPHS = (ENCODER, DECODER, SCORER)
