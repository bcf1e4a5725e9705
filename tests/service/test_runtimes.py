"""One suite over every inference engine, on bundles that were really trained and exported."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from service.models.golden import check_golden
from service.runtimes.onnx import bind, provider_options
from service.runtimes.runtime import RUNTIMES, RuntimeUnusable, resolve
from service.runtimes.torch import functions_of
from vae.bundle import Bundle, open_bundle, to_npz
from vae.graphs import DECODER, ENCODER, SCORER, Graph
from vae.networks import VAE
from vae.onnxruntime_no_telemetry import onnxruntime

BUNDLES = ("digits_bundle", "conv_bundle", "causal_bundle", "table_bundle", "ladder_bundle")


@pytest.fixture(params=BUNDLES)
def bundle(request: pytest.FixtureRequest) -> Bundle:
    return open_bundle(request.getfixturevalue(request.param))


IS_THERE = {
    ("onnx", "cpu"): True,
    ("onnx", "cuda"): "CUDAExecutionProvider" in onnxruntime.get_available_providers(),
    ("torch", "cpu"): True,
    ("torch", "cuda"): torch.cuda.is_available(),
}


@pytest.fixture(params=[place for place, there in IS_THERE.items() if there], ids="-".join)
def runtime(request: pytest.FixtureRequest, bundle: Bundle) -> Any:
    name, device = request.param
    return resolve(name)(bundle, device=device, threads=1, precision="float32")


def inputs(bundle: Bundle, rows: int) -> tuple[Any, Any]:
    random = np.random.default_rng(0)
    low, high = bundle.manifest.input.range or (-2, 2)
    x = random.uniform(low, high, (rows, *bundle.manifest.input.shape))
    z = random.standard_normal((rows, bundle.manifest.latent_dim))
    return x.astype(np.float32), z.astype(np.float32)


def test_the_golden_outputs_come_back(bundle: Bundle, runtime: Any) -> None:
    check_golden(bundle, runtime)


@pytest.mark.parametrize("wrong", [np.zeros((2, 3, 7)), np.zeros((0, 8, 8)), np.float32(1), "text"])
def test_golden_rows_that_are_not_of_the_model_prove_nothing(
    digits_bundle: Path, wrong: Any
) -> None:
    bundle = open_bundle(digits_bundle)
    arrays = bundle.arrays("golden.npz", "x", "z", "mu", "logvar", "mean", "log_px_z")
    golden = to_npz(arrays | {"x": np.asarray(wrong)})
    lying = replace(bundle, files={**bundle.files, "golden.npz": golden})
    with pytest.raises(RuntimeUnusable, match="the golden x is"):
        check_golden(lying, resolve("onnx")(lying, device="cpu", threads=1))


def test_outputs_are_float32_rows_of_the_right_shape(bundle: Bundle, runtime: Any) -> None:
    x, z = inputs(bundle, 3)
    mu, logvar = runtime.run(ENCODER, (x,))
    (mean,) = runtime.run(DECODER, (z,))
    (log_px_z,) = runtime.run(SCORER, (x, z))
    shapes = [(3, bundle.manifest.latent_dim)] * 2 + [x.shape, (3,)]
    for array, shape in zip((mu, logvar, mean, log_px_z), shapes, strict=True):
        assert (array.dtype, array.shape) == (np.float32, shape)
        assert np.isfinite(array).all()


def test_a_row_does_not_depend_on_its_batch(bundle: Bundle, runtime: Any) -> None:
    x, z = inputs(bundle, 33)
    for graph, arrays in ((ENCODER, (x,)), (DECODER, (z,)), (SCORER, (x, z))):
        together = runtime.run(graph, arrays)
        for row in (0, 7, 32):
            alone = runtime.run(graph, tuple(array[row : row + 1] for array in arrays))
            for one, many in zip(alone, together, strict=True):
                np.testing.assert_allclose(one[0], many[row], rtol=1e-5, atol=1e-5)


def test_onnxruntime_gives_a_row_the_same_bits_in_any_batch(bundle: Bundle) -> None:
    runtime = resolve("onnx")(bundle, device="cpu", threads=2)
    x, z = inputs(bundle, 129)
    for graph, arrays in ((ENCODER, (x,)), (DECODER, (z,)), (SCORER, (x, z))):
        together = runtime.run(graph, arrays)
        for rows in (1, 2, 7, 64, 128):
            part = runtime.run(graph, tuple(array[:rows] for array in arrays))
            assert all(np.array_equal(a, b[:rows]) for a, b in zip(part, together, strict=True))


def test_both_engines_agree(bundle: Bundle) -> None:
    x, z = inputs(bundle, 17)
    onnx, torch = (resolve(name)(bundle, device="cpu", threads=1) for name in ("onnx", "torch"))
    for graph, arrays in ((ENCODER, (x,)), (DECODER, (z,)), (SCORER, (x, z))):
        for a, b in zip(onnx.run(graph, arrays), torch.run(graph, arrays), strict=True):
            assert np.all(np.abs(a - b) <= 1e-4 * np.maximum(1, np.abs(b)))


@pytest.mark.parametrize("name", sorted(RUNTIMES))
def test_a_device_that_is_missing_is_an_error(name: str, digits_bundle: Path) -> None:
    if IS_THERE[name, "cuda"]:
        pytest.skip("the device is there")
    with pytest.raises(RuntimeUnusable, match="cuda"):
        resolve(name)(open_bundle(digits_bundle), device="cuda", threads=1)


@pytest.mark.parametrize("name", sorted(RUNTIMES))
def test_a_graph_that_does_not_load_is_an_error(name: str, digits_bundle: Path) -> None:
    bundle = open_bundle(digits_bundle)
    files = dict(bundle.files) | {
        "decoder.onnx": b"nonsense",
        "checkpoint.safetensors": bundle.files["checkpoint.safetensors"][:-4],
    }
    with pytest.raises(RuntimeUnusable):
        resolve(name)(Bundle(bundle.path, bundle.manifest, files), device="cpu", threads=1)


def every_graph(bundle: Bundle, rows: int) -> list[tuple[Graph, tuple[Any, ...]]]:
    """The graphs of a bundle with its golden inputs, repeated."""
    return [
        (graph, tuple(np.resize(a, (rows, *a.shape[1:])) for a in golden.values()))
        for graph in bundle.manifest.graphs
        for golden in [bundle.arrays("golden.npz", *graph.inputs)]
    ]


@pytest.mark.parametrize("rows", [1, 5, 300])
def test_bound_buffers_give_what_a_session_gives(bundle: Bundle, rows: int) -> None:
    for graph, arrays in every_graph(bundle, rows):
        session = onnxruntime.InferenceSession(bundle.files[graph.file])
        padded = bind(session, graph, bundle.manifest.row_shapes, "cpu")
        before = padded.run(tuple(array[:1] for array in arrays))
        kept = [array.copy() for array in before]
        expected = session.run(graph.outputs, dict(zip(graph.inputs, arrays, strict=True)))
        for found, plain in zip(padded.run(arrays), expected, strict=True):
            assert found.shape == plain.shape
            np.testing.assert_allclose(found, plain, rtol=1e-5, atol=1e-5)
        assert all(map(np.array_equal, before, kept))  # not the buffers, which were used again


def test_bfloat16_is_rougher_and_within_what_it_is_allowed(bundle: Bundle) -> None:
    rough = resolve("torch")(bundle, device="cpu", threads=1, precision="bfloat16")
    check_golden(bundle, rough, "bfloat16")
    with pytest.raises(RuntimeUnusable, match="allowed in float32 is 1e-04"):
        check_golden(bundle, rough, "float32")
    (log_px_z,) = rough.run(SCORER, inputs(bundle, 3))
    assert log_px_z.dtype == np.float32


@pytest.mark.parametrize(
    ("name", "precision"), [("onnx", "bfloat16"), ("onnx", "tf32"), ("torch", "tf32")]
)
def test_a_precision_that_is_missing_is_an_error(
    name: str, precision: Any, digits_bundle: Path
) -> None:
    with pytest.raises(RuntimeUnusable, match=precision):
        resolve(name)(open_bundle(digits_bundle), device="cpu", threads=1, precision=precision)


def test_cuda_rounds_to_tf32_only_when_asked() -> None:
    asked = {precision: provider_options("cuda", precision) for precision in ("float32", "tf32")}
    assert {precision: options["use_tf32"] for precision, options in asked.items()} == {
        "float32": "0",
        "tf32": "1",
    }
    with pytest.raises(RuntimeUnusable, match="bfloat16"):
        provider_options("cuda", "bfloat16")


def test_no_graph_asks_the_device_for_a_value(bundle: Bundle) -> None:
    """Which a CUDA graph cannot: tensors without values fail where one is asked for."""
    functions = functions_of(VAE(bundle.manifest).frozen().to("meta"))
    for graph, arrays in every_graph(bundle, 2):
        with torch.inference_mode():
            found = functions[graph.name](*(torch.tensor(a, device="meta") for a in arrays))
        shapes = bundle.manifest.row_shapes
        assert [tuple(o.shape) for o in found] == [(2, *shapes[name]) for name in graph.outputs]
