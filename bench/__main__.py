"""Measures the service beside other servers, and training.

Tables go to the terminal as Markdown; results and the servers' logs go to build/bench/.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import latency, load, scaling, serve, table
from bench.errors import BenchError
from bench.install import install
from bench.paths import BUILD, VENVS
from bench.results import read_results
from bench.rows import read_rows, select_rows
from bench.serve import Plan
from bench.workloads import select_workloads


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status is 1 if something could not be measured or installed."""
    given = _parser().parse_args(arguments)
    try:
        sys.stdout.write(given.run(given) + "\n")
    except BenchError as error:
        sys.stderr.write(f"bench: {error}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    add = commands.add_parser

    command = add("serve", help="compare servers on one core; needs wrk")
    command.set_defaults(run=_serve)
    _add_rows(command, default="all that are installed")
    _add_load_options(command, seconds=8)
    command.add_argument("--rounds", type=int, default=2, help="visits of each row (default: 2)")
    command.add_argument(
        "--retries", type=int, default=4, help="additional runs of a disturbed cell (default: 4)"
    )
    command.add_argument("--out", type=Path, default=BUILD / "serve.json", help="file of results")

    command = add("table", help="the table of results that serve wrote")
    command.set_defaults(run=_table)
    command.add_argument("files", nargs="+", type=Path, help="runs of the same cell are pooled")

    command = add("rows", help="list the rows and whether they are installed")
    command.set_defaults(run=_rows)
    _add_venvs(command)

    command = add("install", help="install other servers, each into a virtual environment")
    command.set_defaults(run=_install)
    command.add_argument("names", nargs="*", metavar="ROW", help="default: all")
    _add_venvs(command)

    command = add("latency", help="latency at half the capacity; needs wrk")
    command.set_defaults(run=_latency)
    _add_rows(command, default="ours,fixed")
    _add_load_options(command, seconds=5)

    command = add("scaling", help="one worker and two; needs wrk")
    command.set_defaults(run=_scaling)
    _add_load_options(command, seconds=3)

    command = add("training", help="the speed of a training step")
    command.set_defaults(run=_training)
    command.add_argument("--repetitions", type=int, default=5, help="rounds (default: 5)")

    command = add("processes", help="training by one process and by two")
    command.set_defaults(run=_processes)
    return parser


def _add_rows(parser: argparse.ArgumentParser, *, default: str) -> None:
    parser.add_argument("--rows", metavar="ours,mosec", help=f"default: {default}")


def _add_load_options(parser: argparse.ArgumentParser, *, seconds: int) -> None:
    parser.add_argument("--workloads", metavar="W2,W4", help="default: all that apply")
    parser.add_argument(
        "--seconds", type=int, default=seconds, help=f"of one run (default: {seconds})"
    )
    parser.add_argument("--runs", type=int, default=3, help="of one cell (default: 3)")
    _add_venvs(parser)


def _add_venvs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--venvs", type=Path, default=VENVS, help="directory of the virtual environments"
    )


def _serve(given: argparse.Namespace) -> str:
    results = serve.measure(
        select_rows(given.rows, given.venvs), select_workloads(given.workloads), _plan(given)
    )
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(results.model_dump_json(indent=1))
    return table.markdown(results)


def _table(given: argparse.Namespace) -> str:
    return table.markdown(read_results(given.files))


def _rows(given: argparse.Namespace) -> str:
    lines = [
        (row.name, row.title, "yes" if row.installed(given.venvs) else "no")
        for row in read_rows().values()
    ]
    return table.table(("row", "server", "installed"), lines, names=3)


def _install(given: argparse.Namespace) -> str:
    install(given.names, given.venvs)
    return _rows(given)


def _latency(given: argparse.Namespace) -> str:
    workloads = select_workloads(given.workloads or latency.DEFAULT)
    rows = select_rows(given.rows or "ours,fixed", given.venvs)
    return latency.markdown(latency.measure(rows, workloads, _plan(given)))


def _scaling(given: argparse.Namespace) -> str:
    (ours,) = select_rows("ours", given.venvs)
    workloads = select_workloads(given.workloads or scaling.DEFAULT)
    effort = {"seconds": given.seconds, "runs": given.runs}
    return scaling.markdown(scaling.measure(ours, workloads, _cores(), **effort))


def _training(given: argparse.Namespace) -> str:
    from bench import training

    return training.markdown(training.measure(repetitions=given.repetitions))


def _processes(_: argparse.Namespace) -> str:
    from bench import processes

    return processes.markdown(processes.measure())


def _plan(given: argparse.Namespace) -> Plan:
    server_core, load_core = _cores()
    return Plan(
        seconds=given.seconds,
        runs=given.runs,
        rounds=getattr(given, "rounds", 1),
        retries=getattr(given, "retries", 0),
        server_core=server_core,
        load_core=load_core,
        venvs=given.venvs,
    )


def _cores() -> tuple[int, int]:
    """The cores of the servers and of the load. Raises BenchError without two cores or wrk."""
    load.require_tools()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise BenchError("needs two cores, one for the servers and one for the load")
    return cores[0], cores[1]


if __name__ == "__main__":
    sys.exit(main())
