"""A model without weights: a runtime of a few lines of NumPy, and bundles that hold no graphs."""

import logging
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from fastapi import FastAPI

from service.app import create_app
from service.models.loader import ModelLoader
from service.models.manager import ModelManager
from service.models.model import Model
from service.models.registry import ModelRegistry, choose_default
from service.runtimes.runtime import RuntimeUnusable
from service.settings import Settings
from service.telemetry.metrics import Metrics
from vae.bundle import Bundle, open_bundle, to_npz, write_bundle
from vae.graphs import GRAPHS, Graph
from vae.manifest import MLP, Bernoulli, Calibration, InputSpec

LATENT_DIM = 3
GOLDEN_ROWS = 4
POISON = 666.0  # a batch with this value in it fails
SLOW = 777.0  # a batch with this value in it takes its time
IMAGE = InputSpec(kind="image", shape=(4, 5), dtype="uint8", range=(0, 255))
COLOUR = InputSpec(kind="image", shape=(4, 5, 3), dtype="uint8", range=(0, 255))
VECTOR = InputSpec(kind="vector", shape=(6,), dtype="float32", columns=tuple("abcdef"))


class FakeRuntime:
    """Affine maps in place of networks, each a function of its row alone, bit for bit.

    ``gate`` holds every batch back while it is cleared; ``calls`` lists graph and rows.
    """

    def __init__(
        self, bundle: Bundle, *, device: str, threads: int, precision: str = "float32"
    ) -> None:
        self._shape = bundle.manifest.input.shape
        size = bundle.manifest.input.size
        self._up = np.linspace(-1, 1, LATENT_DIM * size, dtype=np.float32).reshape(LATENT_DIM, size)
        self.gate = threading.Event()
        self.gate.set()
        self.calls: list[tuple[str, int]] = []

    def run(self, graph: Graph, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        self.gate.wait(30)
        self.calls.append((graph.name, len(inputs[0])))
        if any((array == POISON).any() for array in inputs):
            raise ValueError("poison")
        with np.errstate(over="ignore", invalid="ignore"):  # as a real engine does
            return tuple(getattr(self, graph.name)(*inputs))

    def encoder(self, x: Any) -> tuple[Any, ...]:
        flat = x.reshape(len(x), -1) / np.float32(256)
        mu = np.stack([flat[:, i::LATENT_DIM].sum(axis=1) for i in range(LATENT_DIM)], axis=1)
        return mu, -np.abs(mu)

    def decoder(self, z: Any) -> tuple[Any, ...]:
        mean = sum(z[:, i : i + 1] * self._up[i] for i in range(LATENT_DIM))
        return ((mean * np.float32(64) + 128).reshape(-1, *self._shape),)

    def scorer(self, x: Any, z: Any) -> tuple[Any, ...]:
        (mean,) = self.decoder(z)
        return (-(((x - mean) / np.float32(256)) ** 2).reshape(len(x), -1).sum(axis=1),)


class SlowRuntime(FakeRuntime):
    """Takes half a second for a batch with SLOW in it; serve it with ``--inline-ms 0``."""

    def run(self, graph: Graph, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        if any((array == SLOW).any() for array in inputs):
            time.sleep(0.5)
        return super().run(graph, inputs)


class SleepyRuntime(FakeRuntime):
    """Takes five milliseconds for each row, and no time of this machine's CPUs."""

    def run(self, graph: Graph, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        time.sleep(0.005 * len(inputs[0]))
        return super().run(graph, inputs)


class BrokenRuntime(FakeRuntime):
    """Misses the golden outputs."""

    def decoder(self, z: Any) -> tuple[Any, ...]:
        return (super().decoder(z)[0] + 10,)


class RefusingRuntime(FakeRuntime):
    """Cannot run models whose name is "bad"."""

    def __init__(self, bundle: Bundle, **options: Any) -> None:
        super().__init__(bundle, **options)
        if bundle.manifest.name == "bad":
            raise RuntimeUnusable("this runtime does not run it")


class StuckRuntime(FakeRuntime):
    """Does not get built."""

    def __init__(self, bundle: Bundle, **options: Any) -> None:
        super().__init__(bundle, **options)
        threading.Event().wait()


class SlowToLoadRuntime(FakeRuntime):
    """Takes two seconds to load any version but the first, and logs when it begins."""

    def __init__(self, bundle: Bundle, **options: Any) -> None:
        super().__init__(bundle, **options)
        if bundle.manifest.version > 1:
            logging.getLogger(__name__).warning("begins to load fake/%d", bundle.manifest.version)
            time.sleep(2)


def write_fake_bundle(
    root: Path, name: str = "fake", spec: InputSpec = IMAGE, elbo: Any = (-40, -20, -10, -5)
) -> Path:
    """A whole bundle for FakeRuntime: its graphs are empty, its golden outputs are right."""
    fields = {
        "input": spec,
        "latent_dim": LATENT_DIM,
        "likelihood": Bernoulli(),
        "network": MLP(),
        "name": name,
        "created": datetime.now(UTC),
        "metrics": {"elbo": -9.5, "active_units": 3},
        "calibration": Calibration(rows=4, mean=-10, std=2),
        "versions": {"vae-server": "0"},
    }
    golden = {
        "x": np.linspace(0, 255, GOLDEN_ROWS * spec.size, dtype=np.float32).reshape(
            GOLDEN_ROWS, *spec.shape
        ),
        "z": np.linspace(-1, 1, GOLDEN_ROWS * LATENT_DIM, dtype=np.float32).reshape(
            GOLDEN_ROWS, LATENT_DIM
        ),
    }
    runtime = FakeRuntime(FakeBundle(spec), device="cpu", threads=1)  # type: ignore[arg-type]
    for graph in GRAPHS:
        outputs = runtime.run(graph, tuple(golden[name] for name in graph.inputs))
        golden.update(zip(graph.outputs, outputs, strict=True))
    files = {graph.file: b"" for graph in GRAPHS} | {
        "checkpoint.safetensors": b"",
        "golden.npz": to_npz(golden),
        "calibration.npz": to_npz({"elbo": np.float32(elbo)}),
    }
    return write_bundle(root, files, **fields)  # type: ignore[arg-type]


class FakeBundle:
    """As much of a bundle as FakeRuntime reads."""

    def __init__(self, spec: InputSpec) -> None:
        self.manifest = self
        self.input = spec


def fake_settings(models: Path, **overrides: Any) -> Settings:
    """Settings that no variable of the environment changes."""
    return Settings.model_construct(
        **{name: field.default for name, field in Settings.model_fields.items()}
        | {"models": models, "runtime": "tests.fakes:FakeRuntime", "inline_ms": 0}
        | overrides
    )


@dataclass(frozen=True)
class FakeService:
    """One fake model behind the real application."""

    app: FastAPI
    runtime: FakeRuntime
    model: Model
    metrics: Metrics


def fake_service(models: Path, spec: InputSpec = IMAGE, **overrides: Any) -> FakeService:
    """The application over a fake bundle that is written below ``models``."""
    bundle = open_bundle(write_fake_bundle(models, spec=spec))
    settings, metrics = fake_settings(models, **overrides), Metrics()
    runtime = FakeRuntime(bundle, device="cpu", threads=1)
    model = Model(bundle, runtime, settings, metrics.batch_observer(bundle.manifest))
    runtime.calls.clear()  # those of the warm-up
    metrics.add_model(model)
    repository = ModelRegistry({"fake": {1: model}}, default="fake")
    return FakeService(create_app(repository, settings, metrics), runtime, model, metrics)


def fake_manager(models: Path, **overrides: Any) -> tuple[ModelManager, ModelLoader, Metrics]:
    """A manager, the process that it keeps in step with ``models``, and its metrics."""
    settings, metrics = fake_settings(models, **overrides), Metrics()
    loader = ModelLoader(settings, metrics, limit_seconds=settings.start_seconds)
    return ModelManager(settings, loader, metrics.count_load), loader, metrics


def load_initial(manager: ModelManager, loader: ModelLoader, default: str | None = None) -> None:
    """Load everything at start-up, as ``create_lone_server`` does."""
    names = manager.load_initial(loader.load_initial)
    loader.models.default = choose_default(default, names)


async def call(app: FastAPI, method: str, path: str, **request: Any) -> httpx.Response:
    """One request to the application, without a socket."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.request(method, path, **request)
