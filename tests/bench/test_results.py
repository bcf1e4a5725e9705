"""What is kept of runs, and how it is shown."""

from pathlib import Path
from typing import Any

import pytest

from bench import __main__ as command
from bench import scaling, serve, table
from bench.errors import BenchError
from bench.load import Counts, Run, parse
from bench.paths import VENVS
from bench.results import Cell, Results, read_results
from bench.rows import Operation, Row, read_rows
from bench.scaling import Scale
from bench.workloads import WORKLOADS

OUTPUT = """Running 3s test @ http://127.0.0.1:8000/encode
Requests/sec:   1880.15
{"requests": 3805, "duration": 2000000, "p50": 27075, "p99": 567790, "failed": 0, "not_2xx": 0}
"""


def test_the_last_line_of_wrk_is_read() -> None:
    assert parse(OUTPUT) == Counts(
        requests=3805, duration=2_000_000, p50=27_075, p99=567_790, failed=0, not_2xx=0
    )


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("", "unexpected output"),
        ("Requests/sec: 7\n", "unexpected output"),
        ("[]\n", "unexpected output"),
        ('{"requests": 3}\n', "unexpected output"),
        (OUTPUT.replace("3805", "0"), "no request was answered"),
        (OUTPUT.replace('"failed": 0', '"failed": 1'), "1 requests failed, 0 had no"),
        (OUTPUT.replace('"not_2xx": 0', '"not_2xx": 3'), "0 requests failed, 3 had no"),
    ],
)
def test_a_run_with_failures_does_not_count(output: str, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        parse(output)


def run_of(capacity: float, speed: float = 30.0, interference: float = 0.0) -> Run:
    counts = {"requests": 1000, "duration": 2_000_000, "failed": 0, "not_2xx": 0}
    return Run(
        counts=Counts(**counts, p50=1000, p99=2000),
        server_seconds=1000 / capacity,
        load_seconds=0.1,
        speed=speed,
        interference=interference,
    )


def results_of(*cells: Cell) -> Results:
    names = {cell.row: cell.row for cell in cells}
    return Results(
        date="2026-11-30",
        machine="machine",
        seconds=2,
        titles=names,
        notes={"mosec": "a note"},
        ceilings=["fixed"],
        cells=list(cells),
    )


def test_capacity_is_requests_a_cpu_second() -> None:
    assert run_of(2000).capacity == pytest.approx(2000)
    assert run_of(2000).throughput == 500


def test_a_faster_core_counts_less() -> None:
    runs = [run_of(1100, speed=33), run_of(1000, speed=30), run_of(900, speed=27)]
    found = table.capacities(results_of(Cell(row="ours", workload="W2", runs=runs)))
    assert found["ours", "W2"] == pytest.approx([1000, 1000, 1000])


def test_the_table_compares_with_the_fastest_other_server() -> None:
    results = results_of(
        Cell(row="ours", workload="W2", runs=[run_of(900), run_of(1000), run_of(1100)]),
        Cell(row="ours", workload="W4", runs=[run_of(1000)]),
        Cell(row="mosec", workload="W2", runs=[run_of(800)]),
        Cell(row="mosec", workload="W4", runs=[run_of(2000)]),
        Cell(row="naive", workload="W4", error="first line\nsecond line"),
        Cell(row="fixed", workload="W4", runs=[run_of(9000)]),
    )
    text = table.markdown(results)
    assert "| ours | 1,000 ±10% | 1,000 ±0% |" in text
    assert "| naive | – | failed |" in text
    assert "| this service ÷ the fastest other | 1.25 | 0.50 |" in text
    assert "| ours | 1.00 / 2.00 | 1.00 / 2.00 |" in text
    assert text.endswith("- mosec: a note.\n- naive, W4, failed: first line")


def test_runs_of_the_same_cell_are_pooled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = results_of(Cell(row="ours", workload="W2", runs=[run_of(1000)], reply_bytes=7))
    second = results_of(
        Cell(row="ours", workload="W2", runs=[run_of(2000)]),
        Cell(row="mosec", workload="W2", error="wrong"),
    )
    files = [tmp_path / "1.json", tmp_path / "2.json"]
    for file, results in zip(files, (first, second), strict=True):
        file.write_text(results.model_dump_json())
    pooled = read_results(files)
    assert [run.capacity for run in pooled.cells[0].runs] == pytest.approx([1000, 2000])
    assert (pooled.cells[0].reply_bytes, pooled.cells[1].error) == (7, "wrong")
    assert command.main(["table", *map(str, files)]) == 0
    assert "| ours | 1,500 ±33% |" in capsys.readouterr().out


@pytest.mark.parametrize(("retries", "kept"), [(3, [3, 2]), (0, [1, 2])])
def test_disturbed_runs_are_repeated(
    monkeypatch: pytest.MonkeyPatch, retries: int, kept: list[float]
) -> None:
    runs = iter([run_of(1, interference=0.4), run_of(2, interference=0.04), run_of(3)])
    monkeypatch.setattr(serve, "_load", lambda *_: next(runs))
    plan = serve.Plan(1, 2, 1, retries, 0, 1, VENVS)
    fake: Any = type("Fake", (), {"log": Path("row.log")})
    workload = WORKLOADS["W2"]
    operation = Operation(path="/", body="json", reply="json")
    found = serve._undisturbed(fake, workload, operation, plan)
    assert sorted(run.capacity for run in found) == pytest.approx(sorted(kept))


def test_a_process_serves_all_workloads_of_a_model_or_one_operation() -> None:
    def names(row: Row) -> list[list[str]]:
        groups = serve._groups(row, list(WORKLOADS.values()))
        return [[workload.name for workload in group] for group in groups]

    rows = read_rows()
    assert names(rows["ours"]) == [["W1", "W2", "W3", "W4", "W5", "W6"], ["W7", "W7b"]]
    assert names(rows["mlserver"]) == [["W1", "W2", "W3", "W6"], ["W7"]]
    assert names(rows["litserve"])[:2] == [["W1", "W2"], ["W3"]]


def test_scaling_is_shown_beside_one_worker() -> None:
    one, two = (
        Scale(WORKLOADS["W3"], workers, 100.0 * workers, 110.0, workers, 0.2, busiest=1 / workers)
        for workers in (1, 2)
    )
    assert scaling.markdown([one, two]).splitlines()[-1] == (
        "| W3 | 2 | 200 | 2.00 | 2.00 | 0.20 | 110 | 50% | 220 | 2.00 |"
    )
