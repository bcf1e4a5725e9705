"""Results as Markdown."""

from collections.abc import Callable, Mapping, Sequence
from statistics import median

from bench.results import Cell, Results
from bench.workloads import WORKLOADS

OURS = "ours"


def markdown(results: Results) -> str:
    """The workloads, capacities, latencies and start-up costs, then errors and notes."""
    names = [name for name in WORKLOADS if any(cell.workload == name for cell in results.cells)]
    parts = (
        f"{results.machine}; {results.date}; runs of {results.seconds} s.",
        "\n".join(f"- {name}: {WORKLOADS[name].title}" for name in names),
        "Capacity of one core, requests a second, ± half the spread of the runs:",
        _capacities(results, names),
        "Latency under this load, p50 / p99 in ms:",
        _latencies(results, names),
        _startups(results),
        "\n".join(_remarks(results)),
    )
    return "\n\n".join(part for part in parts if part)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, names: int = 1) -> str:
    """A Markdown table; the first ``names`` columns are aligned to the left."""
    rule = ["---" if index < names else "---:" for index in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def capacities(results: Results) -> dict[tuple[str, str], list[float]]:
    """The capacity of each run by row and workload, at the median core speed of all runs.

    A run on a core that was 10% faster than that counts 10% less.
    """
    speed = median(run.speed for cell in results.cells for run in cell.runs)
    return {
        (cell.row, cell.workload): [run.capacity * speed / run.speed for run in cell.runs]
        for cell in results.cells
        if cell.runs and not cell.error
    }


def _capacities(results: Results, names: Sequence[str]) -> str:
    if not any(cell.runs for cell in results.cells):
        return ""
    found = capacities(results)

    def show(cell: Cell) -> str:
        figures = found[cell.row, cell.workload]
        half = (max(figures) - min(figures)) / median(figures) / 2
        return f"{_number(median(figures))} ±{half:.0%}"

    rows = _rows(results, names, show)
    medians = {key: median(figures) for key, figures in found.items()}
    if ratio := [_ratio(medians, name, results.ceilings) for name in names]:
        rows.append(["this service ÷ the fastest other", *ratio])
    return table(["", *names], rows)


def _ratio(medians: Mapping[tuple[str, str], float], workload: str, ceilings: list[str]) -> str:
    others = [
        figure
        for (row, name), figure in medians.items()
        if name == workload and row not in (OURS, *ceilings)
    ]
    ours = medians.get((OURS, workload))
    return f"{ours / max(others):.2f}" if ours and others else ""


def _latencies(results: Results, names: Sequence[str]) -> str:
    def show(cell: Cell) -> str:
        p50 = median(run.counts.p50 for run in cell.runs) / 1000
        p99 = median(run.counts.p99 for run in cell.runs) / 1000
        return f"{p50:.2f} / {p99:.2f}"

    return table(["", *names], _rows(results, names, show))


def _rows(
    results: Results, names: Sequence[str], show: Callable[[Cell], str]
) -> list[Sequence[str]]:
    cells = {(cell.row, cell.workload): cell for cell in results.cells}
    rows: list[Sequence[str]] = []
    for row, title in results.titles.items():
        found = [cells.get((row, name)) for name in names]
        shown = ["–" if c is None else "failed" if c.error else show(c) for c in found]
        rows.append([title, *shown])
    return rows


def _startups(results: Results) -> str:
    head = ("", "start, s", "processes", "MiB")
    rows = [
        (
            results.titles[name],
            "–" if startup.seconds is None else f"{startup.seconds:.1f}",
            f"{startup.processes}",
            f"{startup.mib:.0f}",
        )
        for name, startup in results.startups.items()
    ]
    return table(head, rows) if rows else ""


def _remarks(results: Results) -> list[str]:
    notes = [f"- {results.titles[name]}: {note}." for name, note in results.notes.items() if note]
    errors = [
        f"- {results.titles[cell.row]}, {cell.workload}, failed: {cell.error.splitlines()[0]}"
        for cell in results.cells
        if cell.error
    ]
    return [*notes, *errors]


def _number(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:,.1f}"
