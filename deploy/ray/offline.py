"""Encode or score a data set of any size: Parquet in, Parquet out, on a Ray cluster or one machine.

    python deploy/ray/offline.py encode --bundle models/digits/1 --data rows/ --output codes/ \
        --column x --keep id

Ray Data reads, computes and writes block by block, so the data may be larger than the memory of the
cluster. The rows pass through ``service.models.model`` as the rows of a request do, so the results
are those of the service.
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
    """What to compute for every row.

    ``column`` is the column of lists that holds x; unused if the bundle names x's columns.
    """

    verb: Literal["encode", "score"]
    bundle: Path
    column: str
    keep: tuple[str, ...]
    samples: int
    seed: int
    device: Literal["cpu", "cuda"]
    max_rows: int

    def inputs(self, spec: InputSpec) -> tuple[str, ...]:
        """The names of the columns that hold x."""
        return spec.columns or (self.column,)


class BatchWorker:
    """One process of the job: a loaded model and an event loop for its batchers."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._loop = asyncio.new_event_loop()
        self._model = _load(job)
        spec = self._model.manifest.input
        self._rows = RowSpec("x", spec.shape, max_rows=job.max_rows, max_pixels=0)
        self._inputs = job.inputs(spec)

    def __call__(self, batch: Columns) -> Columns:
        """Map the columns of a batch to the columns of its result.

        Raises InvalidInput for rows that do not fit the model.
        """
        x = self._rows.check(gather(batch, self._inputs))
        result = self._loop.run_until_complete(self._compute(x))
        return {name: batch[name] for name in self._job.keep} | dict(result)

    async def _compute(self, x: NDArray[np.float32]) -> Any:
        job = self._job
        if job.verb == "encode":
            return await self._model.encode(x, PosteriorOptions())
        return await self._model.score(x, ScoreOptions(samples=job.samples, seed=job.seed))


def gather(batch: Columns, inputs: Sequence[str]) -> NDArray[Any]:
    """x, of shape (rows, size) or (rows, *shape), from a column of lists or a column per element.

    Raises InvalidInput if the lists differ in length.
    """
    if len(inputs) > 1:
        return np.column_stack([batch[name] for name in inputs])
    (name,) = inputs
    values = batch[name]
    if values.dtype == object:  # Arrow does not know whether the lists have the same length
        lengths = {np.size(row) for row in values}
        if len(lengths) > 1:
            raise InvalidInput(
                f"column {name} holds lists of {min(lengths)} to {max(lengths)} numbers",
                expected="lists of one length",
            )
        values = np.stack([np.asarray(row) for row in values])
    return values[:, None] if values.ndim == 1 else values


def run(job: Job, data: Path, output: Path, *, batch_rows: int, workers: int) -> int:
    """Run the job on the Parquet file or folder ``data`` and return the number of rows written.

    Raises BundleError, and ValueError for a conditional model or for missing columns.
    """
    manifest = open_bundle(job.bundle).manifest
    if manifest.condition:
        raise ValueError(f"{job.bundle} is a conditional model, which this job does not support")
    needed = [*job.inputs(manifest.input), *job.keep]
    _require_columns(data, needed)
    rows = ray.data.read_parquet(str(data), columns=needed)
    results = rows.map_batches(
        BatchWorker,
        fn_constructor_args=(job,),
        batch_size=batch_rows,
        concurrency=(1, workers),
        num_gpus=1 if job.device == "cuda" else 0,
    )
    results.write_parquet(str(output))
    return sum(parquet.read_metadata(path).num_rows for path in output.glob("*.parquet"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. The exit status is 2 for invalid arguments and 1 for a failed job."""
    options = _parser().parse_args(arguments)
    job = Job(
        verb=options.verb,
        bundle=options.bundle,
        column=options.column,
        keep=tuple(filter(None, options.keep.split(","))),
        samples=options.samples,
        seed=options.seed,
        device=options.device,
        max_rows=options.batch_rows * options.samples,
    )
    if options.output.exists():
        print(f"offline: {options.output} already exists; choose a new folder", file=sys.stderr)  # noqa: T201
        return 2
    ray.init(address=options.address, log_to_driver=False)
    try:
        rows = run(
            job,
            options.data,
            options.output,
            batch_rows=options.batch_rows,
            workers=options.workers,
        )
    except (BundleError, ValueError, OSError, ArrowException, ray.exceptions.RayError) as error:
        print(f"offline: {_last_line(error)}", file=sys.stderr)  # noqa: T201
        return 1
    print(f"{rows:,} rows in {options.output}")  # noqa: T201
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


def _last_line(error: Exception) -> str:
    """The message of an error. Ray puts the traceback of the worker before it."""
    return str(error).strip().splitlines()[-1]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="offline", description="Encode or score Parquet files.")
    parser.add_argument("verb", choices=("encode", "score"))
    parser.add_argument("--bundle", type=Path, required=True, help="<models>/<name>/<version>")
    parser.add_argument("--data", type=Path, required=True, help="a Parquet file or a folder")
    parser.add_argument("--output", type=Path, required=True, help="a new folder")
    parser.add_argument("--column", default="x", help="column of lists that holds x")
    parser.add_argument(
        "--keep", default="", help="columns to copy to the output, separated by commas"
    )
    parser.add_argument("--samples", type=int, default=1, help="score: draws of z per row")
    parser.add_argument("--seed", type=int, default=0, help="score: seed of the draws")
    parser.add_argument("--batch-rows", type=int, default=4096)
    parser.add_argument("--workers", type=int, default=1, help="maximum number of processes")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--address", help="address of a running cluster; default: this machine")
    return parser


if __name__ == "__main__":
    sys.exit(main())
