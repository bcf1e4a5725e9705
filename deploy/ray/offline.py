"""Encode or score a data set of any size: Parquet in, Parquet out, on a Ray cluster or one machine.

    python deploy/ray/offline.py encode --models models/digits --data rows/ --output codes/ \
        --column x --keep id

Ray Data streams: the data are read, run and written block by block, so that neither a node's memory
nor the cluster's bounds their size. The rows go through ``service.models.model``, as those of a
request do: the numbers are the service's.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import ray
from numpy.typing import NDArray
from pyarrow import ArrowException, parquet

from service.errors import InvalidInput
from service.models.loader import ModelLoader
from service.models.model import Model
from service.models.options import PosteriorOptions, ScoreOptions
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.wire.rows import RowSpec
from vae.bundle import BundleError, open_bundle
from vae.manifest import InputSpec

Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Job:
    """What to do with every row. ``column`` holds x as lists, where x is not columns by name."""

    verb: Literal["encode", "score"]
    bundle: Path
    column: str
    keep: tuple[str, ...]
    samples: int
    seed: int
    device: Literal["cpu", "cuda"]
    max_rows: int

    def inputs(self, spec: InputSpec) -> tuple[str, ...]:
        """The columns that x is made of."""
        return spec.columns or (self.column,)


class Worker:
    """One process of the job: a loaded model, and a loop for its batchers."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._loop = asyncio.new_event_loop()
        self._model = _load(job)
        spec = self._model.manifest.input
        self._rows = RowSpec("x", spec.shape, max_rows=job.max_rows, max_pixels=0)
        self._inputs = job.inputs(spec)

    def __call__(self, batch: Columns) -> Columns:
        """Columns of a batch to those of its result. Raises InvalidInput for a row that is none."""
        x = self._rows.check(gather(batch, self._inputs))
        found = self._loop.run_until_complete(self._answer(x))
        return {name: batch[name] for name in self._job.keep} | dict(found)

    async def _answer(self, x: NDArray[np.float32]) -> Any:
        job = self._job
        if job.verb == "encode":
            return await self._model.encode(x, PosteriorOptions())
        return await self._model.score(x, ScoreOptions(samples=job.samples, seed=job.seed))


def gather(batch: Columns, inputs: Sequence[str]) -> NDArray[Any]:
    """x, (rows, size) or (rows, *shape): one column of lists, or a column for each element."""
    if len(inputs) > 1:
        return np.column_stack([batch[name] for name in inputs])
    (name,) = inputs
    values = batch[name]
    if values.dtype == object:  # lists, which Arrow knows no common length of
        lengths = {np.size(row) for row in values}
        if len(lengths) > 1:
            raise InvalidInput(
                f"column {name} holds lists of {min(lengths)} to {max(lengths)} numbers",
                expected="lists of one length",
            )
        values = np.stack([np.asarray(row) for row in values])
    return values[:, None] if values.ndim == 1 else values


def run(job: Job, data: Path, output: Path, *, batch_rows: int, workers: int) -> int:
    """Do the job for the Parquet file or folder ``data``; returns how many rows were written.

    Raises BundleError, and ValueError for a conditional model or columns that the data lack.
    """
    manifest = open_bundle(job.bundle).manifest
    if manifest.condition:
        raise ValueError(f"{job.bundle} is a conditional model, and rows here have no class")
    needed = [*job.inputs(manifest.input), *job.keep]
    _require_columns(data, needed)
    rows = ray.data.read_parquet(str(data), columns=needed)
    done = rows.map_batches(
        Worker,
        fn_constructor_args=(job,),
        batch_size=batch_rows,
        concurrency=(1, workers),
        num_gpus=1 if job.device == "cuda" else 0,
    )
    done.write_parquet(str(output))
    return sum(parquet.read_metadata(path).num_rows for path in output.glob("*.parquet"))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; exit status 2 for a wrong call and 1 for a job that failed."""
    given = _parser().parse_args(arguments)
    job = Job(
        verb=given.verb,
        bundle=given.bundle,
        column=given.column,
        keep=tuple(filter(None, given.keep.split(","))),
        samples=given.samples,
        seed=given.seed,
        device=given.device,
        max_rows=given.batch_rows * given.samples,
    )
    if given.output.exists():
        print(f"offline: {given.output} is there already; name a new folder", file=sys.stderr)  # noqa: T201
        return 2
    ray.init(address=given.address, log_to_driver=False)
    try:
        rows = run(
            job, given.data, given.output, batch_rows=given.batch_rows, workers=given.workers
        )
    except (BundleError, ValueError, OSError, ArrowException, ray.exceptions.RayError) as error:
        print(f"offline: {_told(error)}", file=sys.stderr)  # noqa: T201
        return 1
    print(f"{rows:,} rows in {given.output}")  # noqa: T201
    return 0


def _load(job: Job) -> Model:
    settings = Settings(
        models=job.bundle,
        device=job.device,
        workers=1,
        threads=1,
        max_batch_rows=job.max_rows,
        max_queue_rows=job.max_rows,
        max_request_rows=job.max_rows,
    )
    loader = ModelLoader(settings, Metrics())
    loader.load_initial(open_bundle(job.bundle))
    (model,) = loader.models
    return model


def _require_columns(data: Path, needed: Sequence[str]) -> None:
    first = next(iter(sorted(data.rglob("*.parquet"))), None) if data.is_dir() else data
    if first is None:
        raise ValueError(f"{data} holds no .parquet file")
    found = parquet.read_schema(first).names
    if missing := [name for name in needed if name not in found]:
        raise ValueError(f"{first} lacks column {', '.join(missing)}; it has {', '.join(found)}")


def _told(error: Exception) -> str:
    """Ray wraps what a worker raised in its traceback; the last line is what was said."""
    return str(error).strip().splitlines()[-1]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="offline", description="Encode or score Parquet files.")
    parser.add_argument("verb", choices=("encode", "score"))
    parser.add_argument("--bundle", type=Path, required=True, help="<models>/<name>/<version>")
    parser.add_argument("--data", type=Path, required=True, help="a Parquet file or a folder")
    parser.add_argument("--output", type=Path, required=True, help="a folder that is not there yet")
    parser.add_argument("--column", default="x", help="of lists, where x is not columns by name")
    parser.add_argument("--keep", default="", help="columns to copy to the output, by commas")
    parser.add_argument("--samples", type=int, default=1, help="draws of z a row, of score")
    parser.add_argument("--seed", type=int, default=0, help="of score, by a row's place in a batch")
    parser.add_argument("--batch-rows", type=int, default=4096)
    parser.add_argument("--workers", type=int, default=1, help="processes at most")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--address", help="of a running cluster; without it this machine")
    return parser


if __name__ == "__main__":
    sys.exit(main())
