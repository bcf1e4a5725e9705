"""The signatures of the ONNX graphs in a bundle: names, inputs and outputs.

Export, the runtimes and the golden outputs all use them. A name is the same array in every graph;
``ModelSpec.row_shapes`` gives the shapes. The first dimension of every array is the symbolic batch.
Noise is always an input and never drawn inside a graph.
"""

from dataclasses import dataclass, replace
from typing import Literal, cast

GraphFile = Literal["encoder.onnx", "decoder.onnx", "scorer.onnx", "posterior.onnx", "prior.onnx"]


@dataclass(frozen=True)
class Graph:
    """The signature of a graph, a function that maps each row independently.

    ``inputs`` and ``outputs`` are the names of its arrays, in order.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def file(self) -> GraphFile:
        """The name of the graph's file in a bundle."""
        return cast(GraphFile, f"{self.name}.onnx")

    def with_input(self, name: str) -> "Graph":
        """The same signature with one more input, the last."""
        return replace(self, inputs=(*self.inputs, name))


ENCODER = Graph("encoder", inputs=("x",), outputs=("mu", "logvar"))
DECODER = Graph("decoder", inputs=("z",), outputs=("mean",))
SCORER = Graph("scorer", inputs=("x", "z"), outputs=("log_px_z",))
GRAPHS: tuple[Graph, ...] = (ENCODER, DECODER, SCORER)

POSTERIOR = Graph("posterior", inputs=("mu", "logvar", "eps"), outputs=("z", "kl"))
"""The encoder's outputs and N(0, 1) noise to a draw of q(z|x) and its KL from p(z) in nats."""

PRIOR = Graph("prior", inputs=("noise", "temperature"), outputs=("latents",))
"""N(0, 1) noise to a draw of p(z). ``temperature`` is one number for each row."""

CONDITION = "c"
"""The last input of encoder, decoder and scorer of a conditional model."""

LATENT_GRAPHS = (POSTERIOR, PRIOR)
"""Only in bundles whose latents have no closed form; otherwise a server computes the formulas."""
