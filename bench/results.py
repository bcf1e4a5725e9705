"""Measured runs, as they are written to disk."""

from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel

from bench.load import Run
from bench.server import Server


class Cell(BaseModel):
    """A row on a workload: its runs, or the error that ended them."""

    row: str
    workload: str
    runs: list[Run] = []
    reply_bytes: int | None = None
    error: str | None = None


class Startup(BaseModel):
    """Seconds to the first reply; processes and MiB after the load, of the largest server."""

    seconds: float | None = None
    processes: int = 0
    mib: float = 0.0

    def update(self, server: Server) -> None:
        """Take the larger of the figures of this server and those that are there."""
        self.processes = max(self.processes, len(server.pids()))
        self.mib = max(self.mib, server.memory_mib())


class Results(BaseModel):
    """The cells of one call of ``bench serve``."""

    date: str
    machine: str
    seconds: int
    titles: dict[str, str]
    notes: dict[str, str]
    ceilings: list[str]
    cells: list[Cell] = []
    startups: dict[str, Startup] = {}

    def cell(self, row: str, workload: str) -> Cell:
        """The cell of a row and a workload, a new one if there is none."""
        for cell in self.cells:
            if (cell.row, cell.workload) == (row, workload):
                return cell
        self.cells.append(Cell(row=row, workload=workload))
        return self.cells[-1]


def read_results(files: Iterable[Path]) -> Results:
    """The results of all files together: runs of the same cell are pooled."""
    first, *others = [Results.model_validate_json(file.read_text()) for file in files]
    for other in others:
        first.titles |= other.titles
        first.notes |= other.notes
        first.ceilings += [name for name in other.ceilings if name not in first.ceilings]
        first.startups = {**other.startups, **first.startups}
        for cell in other.cells:
            pooled = first.cell(cell.row, cell.workload)
            pooled.runs += cell.runs
            pooled.error = pooled.error or cell.error
            pooled.reply_bytes = pooled.reply_bytes or cell.reply_bytes
    return first
