"""What onnxruntime's options cost and save: ``python -m bench sessions``.

Each variant is the service's own session with one option changed. Rounds visit all variants in
turn. Figures are the CPU time of the best call of all rounds over that of the service's session:
what an option costs when nothing disturbs it.
"""

import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import onnx
from onnx import compose

from bench.bare import inputs_of
from bench.models import Array, bundle_of
from bench.paths import ROOT
from bench.table import table
from service.runtimes.onnx import session_options
from vae.bundle import Bundle, open_bundle
from vae.graphs import DECODER, ENCODER, Graph
from vae.onnxruntime_no_telemetry import onnxruntime

ROWS: Final = {"mlp": (1, 64, 256), "conv": (1, 16)}
CALLS: Final = {"mlp": 50, "conv": 5}
MEMORY_ROWS: Final = 128
OURS: Final = "ours"

Options = Any  # onnxruntime has no types
Work = Callable[[], object]
Cell = tuple[str, str, int]
"""A model, a graph and rows."""


def _unchanged(options: Options) -> None:
    del options


def _entry(key: str, value: str) -> Callable[[Options], None]:
    return lambda options: options.add_session_config_entry(key, value)


def _attribute(name: str, value: object) -> Callable[[Options], None]:
    return lambda options: setattr(options, name, value)


Level = onnxruntime.GraphOptimizationLevel
VARIANTS: Final[Mapping[str, Callable[[Options], None]]] = {
    OURS: _unchanged,
    "ours again": _unchanged,
    "no optimisation": _attribute("graph_optimization_level", Level.ORT_DISABLE_ALL),
    "basic optimisation": _attribute("graph_optimization_level", Level.ORT_ENABLE_BASIC),
    "extended optimisation": _attribute("graph_optimization_level", Level.ORT_ENABLE_EXTENDED),
    "arena": _attribute("enable_cpu_mem_arena", True),
    "no memory pattern": _attribute("enable_mem_pattern", False),
    "denormals are 0": _entry("session.set_denormal_as_zero", "1"),
    "no prepacking": _entry("session.disable_prepacking", "1"),
    "two threads": _attribute("intra_op_num_threads", 2),
}
FIXED: Final = "fixed shapes"
TWO: Final = "two calls"
ONE: Final = "one graph"


@dataclass(frozen=True)
class Found:
    """CPU seconds of the best call, by variant and cell, and of TWO and ONE by model and rows; and
    MiB that sessions keep after batches of many sizes, by variant.
    """

    calls: Mapping[str, Mapping[Cell, float]]
    merged: Mapping[tuple[str, int], Mapping[str, float]]
    kept: Mapping[str, float]


def measure(*, repetitions: int) -> Found:
    """All of it, on both models of the benchmarks."""
    bundles = {name: open_bundle(bundle_of(name)) for name in ROWS}
    best = {
        (name, graph.name, rows): best_of(_variants(bundle, graph, rows), repetitions * CALLS[name])
        for name, bundle in bundles.items()
        for graph in (ENCODER, DECODER)
        for rows in ROWS[name]
    }
    calls = {
        variant: {cell: best[cell][variant] for cell in best} for variant in (*VARIANTS, FIXED)
    }
    merged = {
        (name, rows): best_of(_reconstruct(bundle, rows), repetitions * CALLS[name])
        for name, bundle in bundles.items()
        for rows in ROWS[name]
    }
    return Found(calls, merged, {name: _kept_by(name) for name in (OURS, "arena")})


def markdown(found: Found) -> str:
    """Three tables."""
    cells = list(found.calls[OURS])
    head = ("CPU time over ours", *(" ".join(map(str, cell)) for cell in cells))
    ratios = [
        (variant, *(f"{seconds[cell] / found.calls[OURS][cell]:.2f}" for cell in cells))
        for variant, seconds in found.calls.items()
        if variant != OURS
    ]
    ours = ("ours, µs", *(_us(found.calls[OURS][cell]) for cell in cells))
    merged = [
        (f"{name} {rows}", _us(best[TWO]), _us(best[ONE]), f"{best[ONE] / best[TWO]:.2f}")
        for (name, rows), best in found.merged.items()
    ]
    kept = [(variant, f"{mib:.1f}") for variant, mib in found.kept.items()]
    return "\n\n".join(
        (
            table(head, [ours, *ratios], names=1),
            table(
                ("reconstruct, rows", "two calls, µs", "one graph, µs", "ratio"), merged, names=1
            ),
            table(("conv encoder and decoder", "MiB kept"), kept, names=1),
        )
    )


def _us(seconds: float) -> str:
    return f"{1e6 * seconds:,.0f}"


def _variants(bundle: Bundle, graph: Graph, rows: int) -> dict[str, Work]:
    model = bundle.files[graph.file]
    inputs = inputs_of(graph, rows)
    works = {
        name: _call(
            session_of(model, change), graph.outputs, dict(zip(graph.inputs, inputs, strict=True))
        )
        for name, change in VARIANTS.items()
    }
    fixed = session_of(model, lambda options: _fix_batch(options, model, rows))
    works[FIXED] = _call(fixed, graph.outputs, dict(zip(graph.inputs, inputs, strict=True)))
    return works


def _fix_batch(options: Options, model: bytes, rows: int) -> None:
    (first, *_) = onnx.load_from_string(model).graph.input
    batch = first.type.tensor_type.shape.dim[0].dim_param
    options.add_free_dimension_override_by_name(batch, rows)


def session_of(
    model: bytes, change: Callable[[Options], None] = VARIANTS[OURS]
) -> onnxruntime.InferenceSession:
    """The service's session with a change."""
    options = session_options(threads=1)
    change(options)
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _call(
    session: onnxruntime.InferenceSession, outputs: Sequence[str], feeds: Mapping[str, Array]
) -> Work:
    return lambda: session.run(outputs, feeds)


def best_of(works: Mapping[str, Work], rounds: int) -> dict[str, float]:
    """CPU seconds of the best run of each. Another one begins every round: the first of a round
    finds the caches as another batch left them.
    """
    for work in works.values():
        work()  # whatever is made once is made now
    best = dict.fromkeys(works, float("inf"))
    order = deque(works)
    for _ in range(rounds):
        order.rotate()
        for name in order:
            began = time.process_time()
            works[name]()
            best[name] = min(best[name], time.process_time() - began)
    return best


def _reconstruct(bundle: Bundle, rows: int) -> dict[str, Work]:
    """By the encoder and then the decoder, and by one graph of both."""
    encoder, decoder = (session_of(bundle.files[graph.file]) for graph in (ENCODER, DECODER))
    (x,) = inputs_of(ENCODER, rows)

    def two() -> object:
        mu, _ = encoder.run(ENCODER.outputs, {"x": x})
        return decoder.run(DECODER.outputs, {"z": mu})

    return {
        TWO: two,
        ONE: _call(session_of(one_graph(bundle)), ("decoder_mean",), {"encoder_x": x}),
    }


def one_graph(bundle: Bundle) -> bytes:
    """From x, named ``encoder_x``, by way of mu to the mean, named ``decoder_mean``."""
    encoder, decoder = (onnx.load_from_string(bundle.files[g.file]) for g in (ENCODER, DECODER))
    merged = compose.merge_models(
        encoder,
        decoder,
        io_map=[("mu", "z")],
        outputs=["decoder_mean"],
        prefix1="encoder_",
        prefix2="decoder_",
    )
    whole: bytes = merged.SerializeToString()
    return whole


def _kept_by(variant: str) -> float:
    # In a process of its own, since memory that another session freed is taken again.
    command = [sys.executable, "-m", "bench.sessions", variant]
    return float(subprocess.check_output(command, cwd=ROOT))  # noqa: S603


def _grow(variant: str) -> float:
    """MiB that two sessions hold more after batches of 1 to MEMORY_ROWS rows than after one."""
    bundle = open_bundle(bundle_of("conv"))
    sessions = {g: session_of(bundle.files[g.file], VARIANTS[variant]) for g in (ENCODER, DECODER)}

    def run(rows: int) -> None:
        for graph, session in sessions.items():
            session.run(graph.outputs, dict(zip(graph.inputs, inputs_of(graph, rows), strict=True)))

    run(1)
    before = _resident_mib()
    for rows in range(1, MEMORY_ROWS + 1, 3):
        run(rows)
    return _resident_mib() - before


def _resident_mib() -> float:
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    sys.stdout.write(str(_grow(sys.argv[1])))
