"""Servers side by side on one core, and training, as Markdown, and as JSON under build/bench/."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict

from bench import (
    bursts,
    compare,
    load,
    pauses,
    processes,
    scaling,
    sessions,
    stages,
    table,
    training,
    turns,
)
from bench.errors import BenchError
from bench.models import bundle_of
from bench.paths import BUILD
from bench.workloads import select


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status is 1 when something could not be measured."""
    given = _parser().parse_args(arguments)
    try:
        REPORTS[given.what](given)
    except BenchError as error:
        sys.stderr.write(f"bench: {error}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "what",
        nargs="?",
        choices=tuple(REPORTS),
        default="servers",
        help="servers side by side; the stages of a request; requests without sockets; a second "
        "worker; training beside its yardsticks; training by two processes; onnxruntime's "
        "options; latency under bursts; pauses of the machine (default: servers)",
    )
    parser.add_argument("--only", metavar="W2,W4", help="workloads (default: all)")
    parser.add_argument("--seconds", type=int, default=3, help="of one run (default: 3)")
    parser.add_argument("--repetitions", type=int, default=3, help="rounds (default: 3)")
    parser.add_argument(
        "--half",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="measure latencies at half the capacity, too (default: yes)",
    )
    return parser


def _servers(given: argparse.Namespace) -> None:
    workloads = select(given.only)
    server_core, load_core = _two_cores()
    plan = compare.Plan(given.seconds, given.repetitions, (server_core,), (load_core,))
    for workload in workloads:
        bundle_of(workload.model)  # which may take a minute, and is better known to work at once
    found = [compare.compare(workload, plan, half=given.half) for workload in workloads]
    titles = "\n".join(f"- {workload.name}: {workload.title}" for workload in workloads)
    _report("servers", f"{titles}\n\n{table.markdown(found)}", [asdict(each) for each in found])


def _stages(given: argparse.Namespace) -> None:
    del given
    found = stages.stages(min(os.sched_getaffinity(0)))
    _report("stages", stages.markdown(found), dict(found))


def _turns(given: argparse.Namespace) -> None:
    workloads = select(given.only or turns.DEFAULT)
    found = turns.measure(workloads, min(os.sched_getaffinity(0)))
    _report("turns", turns.markdown(found, workloads), dict(found))


def _scaling(given: argparse.Namespace) -> None:
    workloads = select(given.only or scaling.DEFAULT)
    cores = _two_cores()
    effort = {"seconds": given.seconds, "repetitions": given.repetitions}
    found = [(workload, scaling.measure(workload, cores, **effort)) for workload in workloads]
    raw = {workload.name: [asdict(scale) for scale in scales] for workload, scales in found}
    _report("scaling", scaling.markdown(found), raw)


def _training(given: argparse.Namespace) -> None:
    found = training.measure(repetitions=given.repetitions)
    _report("training", training.markdown(found), [asdict(each) for each in found])


def _processes(given: argparse.Namespace) -> None:
    del given
    found = processes.measure()
    _report("processes", processes.markdown(found), [each._asdict() for each in found])


def _pauses(given: argparse.Namespace) -> None:
    del given
    found = pauses.measure(_two_cores())
    _report("pauses", pauses.markdown(found), [each._asdict() for each in found])


def _sessions(given: argparse.Namespace) -> None:
    found = sessions.measure(repetitions=given.repetitions)
    _report("sessions", sessions.markdown(found), repr(found))


def _report(name: str, markdown: str, raw: object) -> None:
    sys.stdout.write(markdown + "\n")
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / f"{name}.json").write_text(json.dumps(raw, indent=2))


def _two_cores() -> tuple[int, int]:
    """One for the servers, one for the load. Raises BenchError without them or without wrk."""
    load.require_tools()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise BenchError("two cores are needed, one for the servers and one for the load")
    return cores[0], cores[1]


def _bursts(given: argparse.Namespace) -> None:
    workloads = select(given.only or bursts.DEFAULT)
    cores = _two_cores()
    effort = {"seconds": given.seconds, "repetitions": given.repetitions}
    found = [bursts.measure(workload, *cores, **effort) for workload in workloads]
    _report("bursts", "\n\n".join(map(bursts.markdown, found)), [asdict(each) for each in found])


REPORTS = {
    "servers": _servers,
    "stages": _stages,
    "turns": _turns,
    "scaling": _scaling,
    "training": _training,
    "processes": _processes,
    "pauses": _pauses,
    "bursts": _bursts,
    "sessions": _sessions,
}


if __name__ == "__main__":
    sys.exit(main())
