"""The rows of the table, their installation, and the workloads."""

from pathlib import Path

import pytest

from bench import __main__ as command
from bench import install
from bench.check import question
from bench.errors import BenchError
from bench.paths import SERVERS
from bench.rows import COMMON, Row, read_rows, select_rows
from bench.workloads import WORKLOADS, select_workloads

ROOT = Path(__file__).parents[2]


def test_workloads_are_selected_by_name() -> None:
    assert [workload.name for workload in select_workloads("W4,W2")] == ["W4", "W2"]
    assert select_workloads(None) == list(WORKLOADS.values())
    with pytest.raises(BenchError, match="unknown workload W9; known: W1, W2"):
        select_workloads("W2,W9")


def test_rows_are_selected_by_name(tmp_path: Path) -> None:
    assert [row.name for row in select_rows(None, tmp_path)] == ["ours", "naive", "fixed"]
    with pytest.raises(BenchError, match="unknown row caddy; known: ours, mosec"):
        select_rows("ours,caddy", tmp_path)
    with pytest.raises(BenchError, match="python -m bench install mosec ray"):
        select_rows("ours,mosec,ray", tmp_path)


@pytest.mark.parametrize("row", read_rows().values(), ids=lambda row: row.name)
def test_every_row_is_complete(row: Row) -> None:
    assert {w.operation for w in WORKLOADS.values() if not w.binary} <= row.operations.keys()
    for workload in WORKLOADS.values():
        if operation := row.operations.get(workload.operation):
            asked = question(workload, operation, 0)
            assert asked.body
    assert all("==" in requirement for requirement in row.requires)
    scripts = {word.partition(":")[0] for word in row.command if "_server" in word}
    assert all((SERVERS / f"{script}.py").exists() for script in scripts)


def test_all_servers_have_the_onnxruntime_of_this_project() -> None:
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    assert COMMON[1] in pins


def test_an_unknown_row_cannot_be_installed(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="nothing to install for ours; known: mosec"):
        install.install(["ours"], tmp_path)


def test_a_row_whose_installation_fails_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs = ("nothing-of-this-name==1",)
    row = Row(name="row", title="", operations={}, command=("python",), requires=needs)
    monkeypatch.setattr(install, "read_rows", lambda: {"row": row})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(BenchError, match=r"pip install .* failed"):
        install.install([], tmp_path)
    assert not row.installed(tmp_path)
    assert not (tmp_path / "row").exists()


def test_an_error_is_shown_without_a_traceback(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert command.main(["install", "caddy", "--venvs", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("bench: nothing to install for caddy")
    assert command.main(["rows", "--venvs", str(tmp_path)]) == 0
    assert "| mosec | mosec, orjson | no |" in capsys.readouterr().out
