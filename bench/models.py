"""The two models that are measured, as bundles: random weights compute as long as trained ones.

Both take 28×28 gray images of whole numbers from 0 to 255 and have 20 latents. ``mlp`` is
784-128-20; ``conv`` costs tens of millions of operations an image.
"""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bench.paths import BUILD, ROOT
from vae.bundle import MANIFEST, open_bundle, write_bundle
from vae.graphs import GRAPHS, Graph
from vae.manifest import (
    BernoulliSpec,
    ConvSpec,
    InputSpec,
    Manifest,
    MLPSpec,
    ModelSpec,
    NetworkSpec,
    Preprocessing,
)
from vae.onnxruntime_no_telemetry import onnxruntime

SEED: Final = 0
CALIBRATION_ROWS: Final = 1024
LATENT_DIM: Final = 20
NETWORKS: Final[dict[str, NetworkSpec]] = {
    "mlp": MLPSpec(hidden=(128,)),
    "conv": ConvSpec(channels=(128, 256), hidden=256),
}
SOURCES: Final = ("bench/models.py", "training/export/*.py", "vae/**/*.py")

Array = NDArray[np.float32]


def images(rows: int, seed: int = SEED) -> Array:
    """Noise in every pixel, (rows, 28, 28): dense, so that JSON is as long as it gets."""
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (rows, 28, 28)).astype(np.float32)


def bundle_of(name: str) -> Path:
    """The bundle of ``mlp`` or ``conv``, written unless the same sources wrote it before."""
    sources = sorted(path for pattern in SOURCES for path in ROOT.glob(pattern))
    key = hashlib.sha256(b"".join(path.read_bytes() for path in sources))
    path = BUILD / f"models-{key.hexdigest()[:12]}" / name / "1"
    if not (path / MANIFEST).exists():
        _write(path.parents[1], name)
    return path


class Reference:
    """A bundle's graphs through bare onnxruntime, in this process, on one thread."""

    def __init__(self, path: Path) -> None:
        bundle = open_bundle(path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.manifest: Manifest = bundle.manifest
        self._sessions = {
            graph.name: onnxruntime.InferenceSession(
                bundle.files[graph.file], options, providers=["CPUExecutionProvider"]
            )
            for graph in GRAPHS
        }

    def run(self, graph: Graph, *inputs: Array) -> list[Array]:
        """The graph's outputs, in its order."""
        feeds = dict(zip(graph.inputs, inputs, strict=True))
        outputs: list[Array] = self._sessions[graph.name].run(graph.outputs, feeds)
        return outputs


def _write(root: Path, name: str) -> None:
    # Here, since torch takes seconds to load and is not needed once the bundles are there.
    import torch

    from training.evaluation.evaluate import evaluate
    from training.export.calibration import calibration_section
    from training.export.onnx import export_files
    from training.system.versions import versions
    from vae.networks import VAE

    spec = ModelSpec(
        input=InputSpec(kind="image", shape=(28, 28), dtype="uint8", range=(0, 255)),
        preprocessing=Preprocessing(scale=(255,)),
        latent_dim=LATENT_DIM,
        likelihood=BernoulliSpec(),
        network=NETWORKS[name],
    )
    torch.manual_seed(SEED)
    vae = VAE(spec)
    x = torch.from_numpy(images(CALIBRATION_ROWS))
    evaluation = evaluate(vae, x, samples=1, seed=SEED)
    write_bundle(
        root,
        export_files(vae, x, evaluation, SEED),
        **{field: getattr(spec, field) for field in ModelSpec.model_fields},
        name=name,
        created=datetime.now(UTC),
        metrics=_operations(vae, x[:1]),
        calibration=calibration_section(evaluation.scores),
        versions=versions(),
    )


def _operations(vae: Any, x: Any) -> dict[str, float]:
    """Floating-point operations for one image; a multiply-add is two."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    def count(function: Any, argument: Any) -> float:
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            function(argument)
        return float(counter.get_total_flops())

    return {
        "encoder_flop": count(vae.encode, x),
        "decoder_flop": count(vae.decode, torch.zeros(1, LATENT_DIM)),
    }
