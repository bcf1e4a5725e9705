"""What each stage of a request costs alone: ``python -m bench stages``.

The service's own functions in this process, without a socket. Figures are microseconds of CPU time
for one call with so many rows, the best of several repetitions: what the code costs when nothing
disturbs it.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from io import BytesIO
from timeit import Timer
from typing import Final

import numpy as np

from bench.bare import thread_on
from bench.models import LATENT_DIM, Reference, bundle_of, images
from bench.table import table
from bench.workloads import Workload
from service.arrays import Arrays
from service.http.request import read
from service.models.loader import ModelLoader
from service.models.model import Model
from service.models.noise import standard_normal
from service.models.options import PosteriorOptions, ScoreOptions
from service.models.verbs import VERBS
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.wire.formats import FORMATS, JSON, NPY, PNG, SAFETENSORS, Format, acceptable, format_of
from service.wire.rows import RowSpec
from vae.bundle import open_bundle
from vae.graphs import DECODER, ENCODER

ROWS: Final = (1, 8, 64, 256)
REPETITIONS: Final = 5
SECONDS: Final = 0.02
CALLS_TO_GUESS: Final = 3
Stage = tuple[str, dict[int, float]]


def stages(core: int) -> list[Stage]:
    """Every stage's name and microseconds by rows."""
    path = bundle_of("mlp")
    reference, metrics = Reference(path), Metrics()
    settings = Settings.model_validate({"models": path})
    with thread_on((core,)):
        home = ModelLoader(settings, metrics)
        home.load_initial(open_bundle(path))
        model = next(iter(home.models))
        return [
            *_without_rows(metrics),
            *_reading(model.row_specs["inputs"], model),
            *_computing(reference),
            *_writing(model, reference),
            *asyncio.run(_verbs(model)),
        ]


def markdown(found: Sequence[Stage]) -> str:
    """A table with one row a stage."""
    head = ["µs a call", *(f"{rows} {'row' if rows == 1 else 'rows'}" for rows in ROWS)]
    lines = [
        [name, *(f"{figures[rows]:.1f}" if rows in figures else "" for rows in ROWS)]
        for name, figures in found
    ]
    return table(head, lines, names=1)


def _without_rows(metrics: Metrics) -> Iterator[Stage]:
    sample = next(verb for verb in VERBS if verb.name == "sample")
    options = json.dumps({"n": 64, "seed": 1}).encode()
    yield "options of /sample, JSON", {1: _cost(lambda: read(sample, {}, JSON, options, {}))}
    yield (
        "choice of formats",
        {1: _cost(lambda: (format_of(b"application/json"), acceptable(b"*/*", picture=False)))},
    )
    count = partial(metrics.observe_request, "encode", "mlp/1", 200, 0.001)
    yield "metrics of a request", {1: _cost(count)}


def _reading(spec: RowSpec, model: Model) -> Iterator[Stage]:
    """A body to checked float32 rows."""
    for form in (JSON, NPY, SAFETENSORS):
        bodies = {rows: _body(form, rows) for rows in ROWS}
        yield (
            f"read {form.media_type}",
            {rows: _cost(partial(form.read, body, spec)) for rows, body in bodies.items()},
        )
    picture = PNG.write({"outputs": images(1)}, model.manifest.input)
    yield f"read {PNG.media_type}", {1: _cost(partial(PNG.read, picture, spec))}
    yield "row check", {rows: _cost(partial(spec.check, images(rows))) for rows in ROWS}


def _computing(reference: Reference) -> Iterator[Stage]:
    """What lies between reading and writing, without a batcher."""
    z = {rows: standard_normal(1, (rows, LATENT_DIM)) for rows in ROWS}
    yield (
        "noise of latents",
        {rows: _cost(partial(standard_normal, 1, (rows, LATENT_DIM))) for rows in ROWS},
    )
    yield (
        "bare session.run, encoder",
        {rows: _cost(partial(reference.run, ENCODER, images(rows))) for rows in ROWS},
    )
    yield (
        "bare session.run, decoder",
        {rows: _cost(partial(reference.run, DECODER, z[rows])) for rows in ROWS},
    )


def _writing(model: Model, reference: Reference) -> Iterator[Stage]:
    """Named arrays to a body."""
    image = model.manifest.input
    for name, make in (("mu and logvar", _posterior), ("outputs", _outputs)):
        arrays = {rows: make(reference, rows) for rows in ROWS}
        for form in FORMATS.values():
            if form is PNG and "outputs" not in arrays[1]:
                continue
            yield (
                f"write {name}, {form.media_type}",
                {rows: _cost(partial(form.write, arrays[rows], image)) for rows in ROWS},
            )


async def _verbs(model: Model) -> list[Stage]:
    """Whole verbs on one loop: batchers, graphs and what they add."""
    found: list[Stage] = []
    posterior, score = PosteriorOptions(), ScoreOptions()
    for name, call in (
        ("Model.encode, one caller", lambda rows: model.encode(rows, posterior)),
        ("Model.reconstruct, one caller", lambda rows: model.reconstruct(rows, posterior)),
        ("Model.score with p-values, one caller", lambda rows: model.score(rows, score)),
    ):
        figures = {rows: await _cost_of_await(partial(call, images(rows))) for rows in ROWS}
        found.append((name, figures))
    one = images(1)

    async def crowd(callers: int) -> None:
        await asyncio.gather(*(model.encode(one, posterior) for _ in range(callers)))

    found.append(
        (
            "Model.encode, as many callers of one row",
            {rows: await _cost_of_await(partial(crowd, rows)) for rows in ROWS},
        )
    )
    await model.close()
    return found


def _posterior(reference: Reference, rows: int) -> Arrays:
    mu, logvar = reference.run(ENCODER, images(rows))
    return {"mu": mu, "logvar": logvar}


def _outputs(reference: Reference, rows: int) -> Arrays:
    (mean,) = reference.run(DECODER, standard_normal(1, (rows, LATENT_DIM)))
    return {"outputs": mean}


def _body(form: Format, rows: int) -> bytes:
    if form is NPY:
        file = BytesIO()
        np.save(file, images(rows))
        return file.getvalue()
    return Workload("", "encode", rows, 1, binary=form is SAFETENSORS).request().body


def _cost(call: Callable[[], object]) -> float:
    timer = Timer(call, timer=time.process_time)
    count = _count(timer.timeit(CALLS_TO_GUESS))
    return min(timer.repeat(REPETITIONS, count)) / count * 1e6


async def _cost_of_await(call: Callable[[], Awaitable[object]]) -> float:
    async def timeit(count: int) -> float:
        start = time.process_time()
        for _ in range(count):
            await call()
        return time.process_time() - start

    count = _count(await timeit(CALLS_TO_GUESS))
    return min([await timeit(count) for _ in range(REPETITIONS)]) / count * 1e6


def _count(seconds: float) -> int:
    """How many calls fill SECONDS, when CALLS_TO_GUESS of them took ``seconds``."""
    return max(1, int(SECONDS * CALLS_TO_GUESS / max(seconds, 1e-6)))
