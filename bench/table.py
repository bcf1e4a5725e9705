"""Comparisons as Markdown tables."""

from collections.abc import Iterator, Sequence

from bench.aims import AIMS, AS_THEY_COME, TUNED, Aim, Measured, Others
from bench.bare import BATCHES
from bench.compare import Comparison, Figures
from bench.contenders import FIXED, NAIVE


def markdown(comparisons: Sequence[Comparison]) -> str:
    """All tables: servers, latency at half the capacity, bare onnxruntime, aims."""
    parts = (servers(comparisons), half(comparisons), calls(comparisons), aims(comparisons))
    return "\n\n".join(part for part in parts if part)


def servers(comparisons: Sequence[Comparison]) -> str:
    """Every server on every workload; the last row of each is the limit."""
    head = (
        *("workload", "server", "requests a CPU second", "spread", "× fixed", "× naive"),
        *("of the limit", "requests/s", "p50 ms", "p99 ms", "MiB"),
    )
    return table(head, [row for comparison in comparisons for row in _server_rows(comparison)])


def half(comparisons: Sequence[Comparison]) -> str:
    """Latency of a constant rate; empty when none was measured."""
    head = ("workload", "server", "rate", "p50 ms", "p99 ms", "p99 / p50", "sent late, p99 ms")
    rows = [
        (
            *(comparison.workload.name, name, f"{latency.rate:,.0f}", _ms(latency.p50)),
            *(_ms(latency.p99), f"{latency.p99 / latency.p50:.2f}", _ms(latency.late)),
        )
        for comparison in comparisons
        for name, latency in comparison.half.items()
    ]
    return table(head, rows) if rows else ""


def calls(comparisons: Sequence[Comparison]) -> str:
    """Bare onnxruntime: one row a graph of a model, once."""
    found = {
        (comparison.workload.model, graph): costs
        for comparison in comparisons
        for graph, costs in comparison.calls.items()
    }
    head = ("bare onnxruntime, µs a call of rows", *map(str, BATCHES), "best, rows/s")
    rows = [
        (
            f"{model} {graph}",
            *(f"{costs[rows] * 1e6:,.0f}" for rows in BATCHES),
            f"{max(rows / seconds for rows, seconds in costs.items()):,.0f}",
        )
        for (model, graph), costs in found.items()
    ]
    return table(head, rows, names=1)


def aims(comparisons: Sequence[Comparison]) -> str:
    """What is aimed at and what was reached, for the workloads that were measured."""
    measured = {comparison.workload.name: comparison for comparison in comparisons}
    rows = [
        (
            aim.workload,
            aim.text,
            *_reached(aim, measured, AS_THEY_COME),
            *_reached(aim, measured, TUNED),
        )
        for aim in AIMS
        if aim.applies(measured)
    ]
    head = ("workload", "aim", "reached, as they come", "met", "reached, tuned", "met")
    return table(head, rows) if rows else ""


def _reached(aim: Aim, measured: Measured, others: Others) -> tuple[str, str]:
    return f"{aim.reached(measured, others):.2f}", "yes" if aim.met(measured, others) else "no"


def _server_rows(comparison: Comparison) -> Iterator[Sequence[str]]:
    for name, figures in comparison.servers.items():
        yield (comparison.workload.name, name, *_cells(comparison, figures))
    limit = comparison.limit()
    yield (
        *(comparison.workload.name, "limit", f"{limit:,.0f}", "", *_ratios(comparison, limit)),
        *("", "", "", "", ""),
    )


def _cells(comparison: Comparison, figures: Figures) -> Sequence[str]:
    return (
        f"{figures.capacity:,.0f}",
        f"{figures.spread:.0%}",
        *_ratios(comparison, figures.capacity),
        f"{figures.capacity / comparison.limit():.0%}",
        f"{figures.throughput:,.0f}",
        _ms(figures.p50),
        _ms(figures.p99),
        f"{figures.memory:.0f}",
    )


def _ratios(comparison: Comparison, capacity: float) -> Sequence[str]:
    return [f"{capacity / comparison.servers[name].capacity:.2f}" for name in (FIXED, NAIVE)]


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.3f}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, names: int = 2) -> str:
    """The columns of names to the left, those of numbers to the right."""
    rule = ["---" if index < names else "---:" for index in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))
