"""The graphs of a bundle: their names, inputs and outputs.

Export writes them, every runtime runs them and the golden outputs are stored under the same names,
so the signatures stand here once. A name means the same array in every graph. Batch is always the
first, symbolic dimension; noise is an input, never drawn inside a graph.
"""

from dataclasses import dataclass, replace
from typing import Literal, cast

GraphFile = Literal["encoder.onnx", "decoder.onnx", "scorer.onnx", "posterior.onnx", "prior.onnx"]


@dataclass(frozen=True)
class Graph:
    """A function of arrays, row by row: ``inputs`` and ``outputs`` name its arrays in order."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def file(self) -> GraphFile:
        """The file of a bundle that holds this graph."""
        return cast(GraphFile, f"{self.name}.onnx")

    def with_input(self, name: str) -> "Graph":
        """The same function with one input more, the last."""
        return replace(self, inputs=(*self.inputs, name))


ENCODER = Graph("encoder", inputs=("x",), outputs=("mu", "logvar"))
DECODER = Graph("decoder", inputs=("z",), outputs=("mean",))
SCORER = Graph("scorer", inputs=("x", "z"), outputs=("log_px_z",))
GRAPHS: tuple[Graph, ...] = (ENCODER, DECODER, SCORER)

POSTERIOR = Graph("posterior", inputs=("mu", "logvar", "eps"), outputs=("z", "kl"))
"""From the encoder's outputs and N(0, 1) noise to a draw of q(z|x) and its KL from p(z) in nats."""

PRIOR = Graph("prior", inputs=("noise", "temperature"), outputs=("latents",))
"""From N(0, 1) noise to a draw of p(z); ``temperature`` is one number a row."""

CONDITION = "c"
"""The last input of encoder, decoder and scorer of a conditional model."""

LATENT_GRAPHS = (POSTERIOR, PRIOR)
"""Only in bundles whose latents are not the closed form that a server computes by itself."""
