"""Int8 bundles: as good as the float ones, the same in any batch, or not published."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import safetensors.torch
import torch
from onnx import TensorProto

from service.models.golden import check_golden
from service.runtimes.runtime import RuntimeUnusable, resolve
from tests.training.test_cli import TINY
from training.cli import main
from training.config.train_config import TrainConfig
from training.data.dataset import Dataset
from training.errors import ConfigError, ExportError
from training.export import quantize as module
from training.export.quantize import (
    QuantizedGraphs,
    calibration_rows,
    check_quantizable,
    quantize,
)
from vae.bundle import Bundle, open_bundle
from vae.graphs import DECODER, ENCODER, GRAPHS, SCORER
from vae.manifest import AutoregressionSpec, BernoulliSpec, InputSpec, MLPSpec, ModelSpec
from vae.networks import VAE

GRAY = InputSpec(kind="image", shape=(8, 8), dtype="uint8", range=(0, 16))
INT8_BUNDLES = ("int8_bundle", "int8_conv_bundle", "int8_flow_bundle")


@pytest.fixture(params=INT8_BUNDLES)
def bundle(request: pytest.FixtureRequest) -> Bundle:
    return open_bundle(request.getfixturevalue(request.param))


def test_the_weights_are_bytes(bundle: Bundle) -> None:
    for graph in GRAPHS:
        model = onnx.load_from_string(bundle.files[graph.file])
        matrices = [tensor for tensor in model.graph.initializer if len(tensor.dims) == 2]
        assert matrices
        assert {tensor.data_type for tensor in matrices} == {TensorProto.INT8}


def test_it_is_served_as_it_was_accepted(bundle: Bundle) -> None:
    assert bundle.manifest.quantization == "int8"
    check_golden(bundle, resolve("onnx")(bundle, device="cpu", threads=2))
    metrics = bundle.manifest.metrics
    scores = bundle.arrays("calibration.npz", "elbo")["elbo"]
    assert metrics["int8_elbo"] == pytest.approx(scores.mean(), rel=1e-5)
    assert bundle.manifest.calibration.mean == pytest.approx(scores.mean(), rel=1e-5)
    assert metrics["int8_elbo"] == pytest.approx(metrics["float_elbo"], rel=module.TOLERANCE)
    assert metrics["int8_elbo"] != metrics["float_elbo"]
    assert all(metrics[f"int8_speedup_{rows}"] > 0 for rows in module.TIMED_ROWS)
    assert "## Int8" in bundle.files["README.md"].decode()


def test_a_row_does_not_depend_on_its_batch(bundle: Bundle) -> None:
    runtime = resolve("onnx")(bundle, device="cpu", threads=2)
    random = np.random.default_rng(0)
    x = random.uniform(0, 16, (129, *bundle.manifest.input.shape)).astype(np.float32)
    z = random.standard_normal((129, bundle.manifest.latent_dim)).astype(np.float32)
    for graph, arrays in ((ENCODER, (x,)), (DECODER, (z,)), (SCORER, (x, z))):
        together = runtime.run(graph, arrays)
        for rows in (1, 2, 7, 64, 128):
            part = runtime.run(graph, tuple(array[:rows] for array in arrays))
            for a, b in zip(part, together, strict=True):
                np.testing.assert_allclose(a, b[:rows], rtol=1e-5, atol=1e-5)


def test_the_torch_runtime_refuses_what_its_checkpoint_is_not(bundle: Bundle) -> None:
    with pytest.raises(RuntimeUnusable, match=r"graphs are int8.*use runtime 'onnx'"):
        resolve("torch")(bundle, device="cpu", threads=1)


def test_an_elbo_that_moves_too_far_publishes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "TOLERANCE", 0.0)
    assert main(["train", "--data=digits", "--quantize", *TINY]) == 1
    message = capsys.readouterr().err
    assert "int8 changes the held-out ELBO from -" in message
    assert "no bundle was written" in message
    assert not (tmp_path / "models").exists()
    assert main(["export", "--run=runs/digits", "--no-quantize"]) == 0
    assert open_bundle(tmp_path / "models/digits/1").manifest.quantization is None


def test_scales_that_do_not_fit_the_rows_are_refused(digits_bundle: Path) -> None:
    """Bytes that were laid over blank pictures cut everything else off."""
    bundle = open_bundle(digits_bundle)
    vae = VAE(bundle.manifest).eval()
    vae.load_state_dict(safetensors.torch.load(bundle.files["checkpoint.safetensors"]))
    x = torch.from_numpy(bundle.arrays("golden.npz", "x")["x"])
    with pytest.raises(ExportError, match=r"int8 changes the held-out ELBO .* 0\.5% is allowed"):
        quantize(vae, bundle.files, torch.zeros(40, 8, 8), x, seed=0)


def test_a_loop_over_pixels_is_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--data=digits", "--quantize", "--causal-radius=2", *TINY]) == 2
    assert "quantize: cannot be combined with causal_radius" in capsys.readouterr().err
    assert not (tmp_path / "runs/digits/metrics.jsonl").exists()
    spec = ModelSpec(
        input=GRAY,
        latent_dim=2,
        likelihood=BernoulliSpec(),
        network=MLPSpec(),
        autoregression=AutoregressionSpec(radius=2),
    )
    with pytest.raises(ConfigError, match="cannot be combined with"):
        check_quantizable(spec)


def test_the_scales_see_rows_as_training_did() -> None:
    data = Dataset(torch.full((9, 8, 8), 8, dtype=torch.uint8), GRAY)
    plain = calibration_rows(TrainConfig(data="digits"), data)
    drawn = calibration_rows(TrainConfig(data="digits", binarise="dynamic"), data)
    assert plain.shape == drawn.shape == (module.CALIBRATION_ROWS, 8, 8)
    assert set(plain.unique().tolist()) == {8.0}
    assert set(drawn.unique().tolist()) == {0.0, 16.0}


def test_the_card_says_what_it_did() -> None:
    int8 = QuantizedGraphs({}, -90.0, -90.1, np.zeros(2, np.float32), {1: 1.8, 64: 5.0})
    assert "-90.10 nats in int8 and -90.00 nats in float" in int8.model_card_section()
    assert "1.8 at 1, 5.0 at 64" in int8.model_card_section()
    assert int8.metrics() == {
        "float_elbo": -90.0,
        "int8_elbo": -90.1,
        "int8_speedup_1": 1.8,
        "int8_speedup_64": 5.0,
    }
