"""The workloads: what is asked, by how many connections at once, and what a right answer is."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
import safetensors.numpy

from bench.errors import BenchError
from bench.exchange import Reply, Request
from bench.models import Array, Reference, images
from vae.graphs import DECODER, ENCODER, Graph
from vae.relative_error import output_magnitudes, relative_error

JSON: Final = "application/json"
SAFETENSORS: Final = "application/x-safetensors"
TOLERANCE: Final = 1e-5
GRAPHS: Final[Mapping[str, tuple[Graph, ...]]] = {
    "encode": (ENCODER,),
    "reconstruct": (ENCODER, DECODER),
    "sample": (DECODER,),
}


@dataclass(frozen=True)
class Workload:
    """``rows`` images a request, in JSON or safetensors, of the model ``mlp`` or ``conv``."""

    name: str
    verb: Literal["encode", "reconstruct", "sample"]
    rows: int
    connections: int
    binary: bool = False
    model: Literal["mlp", "conv"] = "mlp"

    @property
    def title(self) -> str:
        """What it is, for a table."""
        return (
            f"{self.verb}, {self.model}, {'safetensors' if self.binary else 'JSON'}, "
            f"{_plural(self.rows, 'image')}, {_plural(self.connections, 'connection')}"
        )

    @property
    def media_type(self) -> str:
        """Of the request's rows and of the reply."""
        return SAFETENSORS if self.binary else JSON

    @property
    def graphs(self) -> tuple[Graph, ...]:
        """What the model runs for a request, one after the other."""
        return GRAPHS[self.verb]

    def in_json(self) -> "Workload":
        """The same question for a server that knows nothing else."""
        return replace(self, binary=False)

    def request(self, headers: Mapping[str, str] | None = None) -> Request:
        """The one request that is sent again and again."""
        sends = JSON if self.verb == "sample" else self.media_type
        given = {"Content-Type": sends, "Accept": self.media_type, **(headers or {})}
        return Request(f"/{self.verb}", self._body(), given)

    def _body(self) -> bytes:
        if self.verb == "sample":
            return json.dumps({"n": self.rows, "seed": 1}).encode()
        rows = images(self.rows).reshape(self.rows, -1)
        if self.binary:
            return safetensors.numpy.save({"inputs": rows})
        # Whole numbers, as a client has them that reads a picture.
        return json.dumps({"inputs": rows.astype(int).tolist()}, separators=(",", ":")).encode()


WORKLOADS: Final = (
    Workload("W1", "encode", rows=1, connections=1),
    Workload("W2", "encode", rows=1, connections=64),
    Workload("W3", "reconstruct", rows=64, connections=4),
    Workload("W4", "encode", rows=1, connections=64, binary=True),
    Workload("W5", "reconstruct", rows=256, connections=4, binary=True),
    Workload("W6", "sample", rows=64, connections=8),
    Workload("W7", "encode", rows=1, connections=64, model="conv"),
    Workload("W7b", "encode", rows=1, connections=64, binary=True, model="conv"),
)


def select(names: str | None) -> tuple[Workload, ...]:
    """Those of a list like ``W2,W4``; all when there is none. Raises BenchError for no workload."""
    known = {workload.name: workload for workload in WORKLOADS}
    wanted = names.split(",") if names else list(known)
    if unknown := [name for name in wanted if name not in known]:
        raise BenchError(f"no workload {', '.join(unknown)}; there are {', '.join(known)}")
    return tuple(known[name] for name in wanted)


def check(workload: Workload, reply: Reply, reference: Reference) -> None:
    """Hold a reply against onnxruntime in this process. Raises BenchError when it is not right."""
    if reply.status != 200 or not reply.media_type.startswith(workload.media_type):
        raise BenchError(
            f"{workload.name}: expected 200 and {workload.media_type}, not {reply.status} and "
            f"{reply.media_type}: {reply.body[:300]!r}"
        )
    found = _read(workload, reply.body)
    sizes = output_magnitudes(reference.manifest)
    for name, graph_output, expected in _expected(workload, found, reference):
        if name not in found or found[name].size != expected.size:
            raise BenchError(f"{workload.name}: {name} of {expected.shape} is not in the reply")
        same_shape = found[name].reshape(expected.shape)
        if not (off := relative_error(same_shape, expected, sizes[graph_output])) <= TOLERANCE:
            raise BenchError(f"{workload.name}: {name} is off by {off:.3g}; {TOLERANCE:g} is fine")


def _read(workload: Workload, body: bytes) -> dict[str, Array]:
    if workload.binary:
        return dict(safetensors.numpy.load(body))
    members: dict[str, Any] = json.loads(body)
    return {name: np.asarray(value, np.float32) for name, value in members.items()}


def _expected(
    workload: Workload, found: Mapping[str, Array], reference: Reference
) -> list[tuple[str, str, Array]]:
    """Each array of the reply by its name, the name of the graph's output, and the right values.

    What a sample shows is right when it is decoded from the latents that came with it.
    """
    if workload.verb == "sample":
        shape = (workload.rows, reference.manifest.latent_dim)
        latents = found.get("latents", np.zeros(0, np.float32))
        if latents.shape != shape or not 0.8 < latents.std() < 1.2:
            raise BenchError(f"{workload.name}: the latents are no standard normal noise")
        return [("outputs", "mean", reference.run(DECODER, latents)[0])]
    mu, logvar = reference.run(ENCODER, images(workload.rows))
    if workload.verb == "encode":
        return [("mu", "mu", mu), ("logvar", "logvar", logvar)]
    return [("outputs", "mean", reference.run(DECODER, mu)[0])]


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
