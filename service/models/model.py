"""One loaded bundle: the verbs, composed of its graphs, each behind a batcher.

Every protocol calls this one class. Arrays that come in are valid rows of this model (float32,
finite, of the right shape); what goes out is finite and contiguous, or an error.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from service.arrays import Arrays, Float32, all_finite
from service.batching.batcher import Batcher, Observer
from service.batching.call import Call
from service.batching.latency import LatencyEstimator
from service.batching.thread import BatchThread
from service.errors import InvalidInput
from service.models.condition import conditions
from service.models.finite import require_finite
from service.models.latents import latents
from service.models.noise import standard_normal
from service.models.options import (
    Conditional,
    DecodeOptions,
    PosteriorOptions,
    SampleOptions,
    ScoreOptions,
)
from service.runtimes.runtime import Runtime
from service.settings import Settings
from service.wire.rows import row_specs
from vae.bundle import Bundle, BundleError
from vae.graphs import DECODER, ENCODER, SCORER, Graph
from vae.manifest import Manifest


class Model:
    """Serves the verbs of one bundle. Use on one event loop; ``close`` when done.

    ``label`` is its name and version, as in the X-Model header; ``row_specs`` say what rows the
    verbs take; ``max_values`` is how many values one request may have computed.
    """

    def __init__(
        self,
        bundle: Bundle,
        runtime: Runtime,
        settings: Settings,
        observe: Callable[[Graph], Observer],
    ) -> None:
        self.manifest: Manifest = bundle.manifest
        self.label = f"{bundle.manifest.name}/{bundle.manifest.version}"
        self.label_line = f"x-model: {self.label}\r\n".encode()
        self.row_specs = row_specs(
            self.manifest, max_rows=settings.max_request_rows, max_pixels=settings.max_image_pixels
        )
        self.max_values = settings.max_array_bytes // 4
        self._max_rows = settings.max_request_rows
        self._held_out_elbo = _held_out_elbo(bundle)
        graphs = self.manifest.graphs
        self._batchers: Mapping[str, Batcher] = {
            graph.name: self._make_batcher(graph, bundle, runtime, settings, observe(graph))
            for graph in graphs
        }
        # Without self: in a cycle, the sessions of a model that is unloaded would wait for the gc.
        self._run = partial(_submit, self._batchers)
        self._latents = latents(self.manifest, self._run)

    def _make_batcher(
        self, graph: Graph, bundle: Bundle, runtime: Runtime, settings: Settings, observe: Observer
    ) -> Batcher:
        name = f"{self.label} {graph.name}"
        return Batcher(
            partial(_run_finite, runtime, graph),
            name=name,
            estimator=_measure(bundle, runtime, graph, settings.max_batch_rows),
            executor=BatchThread(name),
            inline_seconds=settings.inline_ms / 1000,
            max_queue_rows=settings.max_queue_rows,
            observe=observe,
        )

    @property
    def queued_rows(self) -> int:
        """Rows that wait for any of the graphs."""
        return sum(batcher.queued_rows for batcher in self._batchers.values())

    def batch_limits(self) -> Mapping[str, int]:
        """Rows at which a batch is full, by the name of the graph."""
        return {graph: batcher.batch_rows for graph, batcher in self._batchers.items()}

    async def encode(self, x: Float32, options: PosteriorOptions) -> Arrays:
        """``mu`` and ``logvar``, (rows, latent_dim), and a draw ``z`` with ``sample``.

        Where mu is not the mean of q(z|x), ``z`` is there without ``sample``, too: the centre.
        Here as in every verb the array that a reply of one array carries comes first.
        """
        mu, logvar = await self._run(ENCODER, x, *self._condition(options, len(x)))
        if not options.sample and self.manifest.latents.mu_is_mean:
            return {"mu": mu, "logvar": logvar}
        z = await self._infer(mu, logvar, options)
        return {"z": z, "mu": mu, "logvar": logvar}

    async def decode(self, z: Float32, options: DecodeOptions) -> Arrays:
        """``outputs``: the mean of p(x|z), (rows, *shape)."""
        (outputs,) = await self._run(DECODER, z, *self._condition(options, len(z)))
        return {"outputs": outputs}

    async def sample(self, rows: None, options: SampleOptions) -> Arrays:  # noqa: ARG002
        """``outputs`` decoded from ``latents`` z ~ p(z), its deviations times ``temperature``."""
        if options.n > self._max_rows:
            raise InvalidInput(
                "n is too large", expected=f"at most {self._max_rows}", given=options.n
            )
        c = self._condition(options, options.n)
        noise = standard_normal(options.seed, (options.n, self.manifest.noise_dim))
        z = await self._latents.sample(noise, options.temperature)
        (outputs,) = await self._run(DECODER, z, *c)
        return {"outputs": outputs, "latents": z}

    async def reconstruct(self, x: Float32, options: PosteriorOptions) -> Arrays:
        """``outputs``: decoded from the posterior's centre, or from a draw with ``sample``."""
        c = self._condition(options, len(x))
        mu, logvar = await self._run(ENCODER, x, *c)
        (outputs,) = await self._run(DECODER, await self._infer(mu, logvar, options), *c)
        return {"outputs": outputs}

    async def score(self, x: Float32, options: ScoreOptions) -> Arrays:
        """``elbo`` = ``reconstruction`` − ``kl`` in nats, and its ``p_value``; each (rows,).

        ``reconstruction`` is E[log p(x|z)] over ``samples`` draws of z ~ q(z|x), and so is ``kl``
        E[log q(z|x) − log p(z)] where it has no closed form. The p-value is the
        share of the held-out set that scores no better: small for what the model has not learnt.
        """
        samples = options.samples
        if len(x) * samples > self._max_rows:
            raise InvalidInput(
                "rows times samples is too large",
                expected=f"at most {self._max_rows}",
                given=len(x) * samples,
            )
        given = self._condition(options, len(x))
        posterior = await self._run(ENCODER, x, *given)
        x, mu, logvar, *c = (np.repeat(rows, samples, axis=0) for rows in (x, *posterior, *given))
        try:
            z, kl = await self._latents.draw(mu, logvar, standard_normal(options.seed, mu.shape))
            (log_px_z,) = await self._run(SCORER, x, z, *c)
        except InvalidInput as error:  # it names the row of a draw
            if error.row is None:
                raise
            raise error.at_row(error.row // samples) from None
        reconstruction, kl = (each.reshape(-1, samples).mean(axis=1) for each in (log_px_z, kl))
        elbo = reconstruction - kl
        return {
            "elbo": elbo,
            "reconstruction": reconstruction,
            "kl": kl,
            "p_value": self._p_value(elbo),
        }

    def batch_running_since(self) -> float | None:
        """When the batch that has run for longest started, by the monotonic clock."""
        started = [batcher.running_since for batcher in self._batchers.values()]
        return min((each for each in started if each is not None), default=None)

    async def close(self) -> None:
        """Fail queued calls and wait for the batches that run, for a bounded time."""
        await asyncio.gather(*(batcher.close() for batcher in self._batchers.values()))

    def _condition(self, options: Conditional, rows: int) -> tuple[Float32, ...]:
        return conditions(self.manifest.condition, options.condition, rows)

    async def _infer(self, mu: Float32, logvar: Float32, options: PosteriorOptions) -> Float32:
        """The z of each row: a draw from q(z|x) or its centre."""
        if not options.sample:
            return await self._latents.centre(mu, logvar)
        z, _ = await self._latents.draw(mu, logvar, standard_normal(options.seed, mu.shape))
        return z

    def _p_value(self, elbo: Float32) -> Float32:
        """Share of held-out rows with an ELBO no higher, counting this row itself among them."""
        worse = np.searchsorted(self._held_out_elbo, elbo, side="right")
        return ((1 + worse) / (1 + len(self._held_out_elbo))).astype(np.float32)


def _held_out_elbo(bundle: Bundle) -> Float32:
    """What p-values are read off: one number a held-out row, ascending. Raises BundleError."""
    elbo: Float32 = bundle.arrays("calibration.npz", "elbo")["elbo"]
    ascending = elbo.ndim == 1 and elbo.dtype == np.float32 and bool(np.all(np.diff(elbo) >= 0))
    if not (ascending and elbo.size and all_finite(elbo)):
        raise BundleError(bundle.path, "calibration.npz: elbo is not an ascending list of numbers")
    return elbo


def _submit(batchers: Mapping[str, Batcher], graph: Graph, *inputs: Float32) -> Call:
    return batchers[graph.name].submit(inputs)


def _run_finite(runtime: Runtime, graph: Graph, inputs: tuple[Float32, ...]) -> tuple[Float32, ...]:
    """A batch through a graph. Raises InvalidInput when a row's output overflows.

    One look at the whole batch; the batcher finds out whose row it was.
    """
    outputs = tuple(map(np.ascontiguousarray, runtime.run(graph, inputs)))
    for name, array in zip(graph.outputs, outputs, strict=True):
        require_finite(name, array)
    return outputs


def _measure(bundle: Bundle, runtime: Runtime, graph: Graph, max_rows: int) -> LatencyEstimator:
    """What batches of a graph cost, measured on the golden inputs; this warms it up, too."""
    golden = bundle.arrays("golden.npz", *graph.inputs)
    return LatencyEstimator.measure(
        lambda rows: runtime.run(
            graph,
            tuple(np.resize(golden[name], (rows, *golden[name].shape[1:])) for name in golden),
        ),
        max_rows,
    )
