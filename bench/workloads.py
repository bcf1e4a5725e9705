"""The workloads W1 to W7b: the operation, the rows of a request and the number of connections."""

from dataclasses import dataclass
from typing import Final, Literal

from bench.errors import BenchError

Verb = Literal["encode", "reconstruct", "sample"]
ModelName = Literal["mlp", "conv"]


@dataclass(frozen=True)
class Workload:
    """``connections`` clients, each with one request of ``rows`` images in progress."""

    name: str
    verb: Verb
    rows: int
    connections: int
    binary: bool = False
    model: ModelName = "mlp"

    @property
    def operation(self) -> str:
        """The key of the operation in ``rows.toml``, such as ``encode_binary``."""
        return f"{self.verb}_{'binary' if self.binary else 'json'}"

    @property
    def title(self) -> str:
        """The description in tables."""
        return (
            f"{self.verb}, {self.model}, {'binary' if self.binary else 'JSON'}, "
            f"{_plural(self.rows, 'image')}, {_plural(self.connections, 'connection')}"
        )


WORKLOADS: Final = {
    workload.name: workload
    for workload in (
        Workload("W1", "encode", rows=1, connections=1),
        Workload("W2", "encode", rows=1, connections=64),
        Workload("W3", "reconstruct", rows=64, connections=4),
        Workload("W4", "encode", rows=1, connections=64, binary=True),
        Workload("W5", "reconstruct", rows=256, connections=4, binary=True),
        Workload("W6", "sample", rows=64, connections=8),
        Workload("W7", "encode", rows=1, connections=64, model="conv"),
        Workload("W7b", "encode", rows=1, connections=64, binary=True, model="conv"),
    )
}


def select_workloads(names: str | None) -> list[Workload]:
    """The workloads of a list such as ``W2,W4``, all by default.

    Raises BenchError for an unknown name.
    """
    wanted = names.split(",") if names else list(WORKLOADS)
    if unknown := [name for name in wanted if name not in WORKLOADS]:
        raise BenchError(f"unknown workload {', '.join(unknown)}; known: {', '.join(WORKLOADS)}")
    return [WORKLOADS[name] for name in wanted]


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
