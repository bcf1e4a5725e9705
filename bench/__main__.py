"""``python -m bench``: servers side by side on the workloads, as Markdown and as JSON."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict

from bench import compare, load, table
from bench.errors import BenchError
from bench.paths import BUILD
from bench.workloads import select


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status is 1 when something could not be measured."""
    given = _parser().parse_args(arguments)
    try:
        load.require_tools()
        server_core, load_core = _cores()
        plan = compare.Plan(given.seconds, given.repetitions, (server_core,), (load_core,))
        workloads = select(given.only)
        comparisons = [compare.compare(workload, plan, half=given.half) for workload in workloads]
    except BenchError as error:
        sys.stderr.write(f"bench: {error}\n")
        return 1
    for workload in workloads:
        sys.stdout.write(f"- {workload.name}: {workload.title}\n")
    sys.stdout.write(f"\n{table.markdown(comparisons)}\n")
    (BUILD / "results.json").write_text(
        json.dumps([asdict(each) for each in comparisons], indent=2)
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", metavar="W2,W4", help="workloads; all of them by default")
    parser.add_argument("--seconds", type=int, default=3, help="of one run (default: 3)")
    parser.add_argument("--repetitions", type=int, default=3, help="rounds (default: 3)")
    parser.add_argument(
        "--half",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="latencies at half the capacity, too",
    )
    return parser


def _cores() -> tuple[int, int]:
    """One for the servers and one for the load. Raises BenchError when there are not two."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise BenchError("two cores are needed, one for the servers and one for the load")
    return cores[0], cores[1]


if __name__ == "__main__":
    sys.exit(main())
