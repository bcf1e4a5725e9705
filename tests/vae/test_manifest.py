"""The manifest: what it refuses, and that its digest notices a change of any field."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from vae.manifest import (
    REQUIRED_FILES,
    AutoregressionSpec,
    BernoulliSpec,
    Calibration,
    CategoricalSpec,
    ConvSpec,
    GaussianMixtureSpec,
    GaussianSpec,
    InputSpec,
    LatentsSpec,
    LogisticMixtureSpec,
    Manifest,
    ManifestContent,
    MLPSpec,
    ModelSpec,
    NegativeBinomialSpec,
    PoissonSpec,
    Preprocessing,
)

IMAGE: dict[str, Any] = {"kind": "image", "shape": (8, 9), "dtype": "uint8", "range": (0, 16)}
VECTOR: dict[str, Any] = {"kind": "vector", "shape": (3,), "dtype": "float32"}


def make_manifest(**fields: Any) -> Manifest:
    return ManifestContent(
        **{
            "name": "digits",
            "version": 1,
            "created": datetime(2025, 1, 1, tzinfo=UTC),
            "metrics": {"elbo": -1.5},
            "calibration": Calibration(rows=3, mean=-1.5, std=0.1),
            "versions": {"torch": "2"},
            "files": dict.fromkeys(REQUIRED_FILES, "0" * 64),
            "input": InputSpec(**IMAGE),
            "latent_dim": 2,
            "likelihood": BernoulliSpec(),
            "network": MLPSpec(hidden=(4,)),
            **fields,
        }
    ).with_digest()


def test_a_manifest_survives_json() -> None:
    manifest = make_manifest(preprocessing=Preprocessing(shift=(0.1,), scale=(1 / 3,)))
    assert Manifest.model_validate_json(manifest.model_dump_json(indent=2)) == manifest


WRITTEN_BEFORE_LATENTS = (
    '{"input":{"kind":"image","shape":[8,9],"dtype":"uint8","range":[0.0,16.0],"columns":null},'
    '"preprocessing":{"shift":[0.0],"scale":[16.0]},"latent_dim":2,'
    '"likelihood":{"kind":"gaussian","variance":"learned"},'
    '"network":{"kind":"mlp","hidden":[4]},"schema_version":1,"name":"digits","version":1,'
    '"created":"2025-01-01T00:00:00Z","metrics":{"elbo":-1.5},'
    '"calibration":{"rows":3,"mean":-1.5,"std":0.1},"versions":{"torch":"2"},"files":{'
    + ",".join(
        f'"{name}":"{"0" * 64}"'
        for name in (
            "calibration.npz",
            "encoder.onnx",
            "decoder.onnx",
            "checkpoint.safetensors",
            "golden.npz",
            "scorer.onnx",
        )
    )
    + '},"digest":"f387bad2851e91adb8040b1e663e3e13d3de40370c5ae75d081d3e4b6a92f53e"}'
)


def test_a_manifest_from_before_a_field_was_thought_of_is_read() -> None:
    manifest = Manifest.model_validate_json(WRITTEN_BEFORE_LATENTS)
    assert manifest.latents == LatentsSpec()
    damaged = WRITTEN_BEFORE_LATENTS.replace('"latent_dim":2', '"latent_dim":3')
    with pytest.raises(ValidationError, match="digest is"):
        Manifest.model_validate_json(damaged)
    added = WRITTEN_BEFORE_LATENTS.replace('"latent_dim"', '"latents":{},"latent_dim"')
    with pytest.raises(ValidationError, match="digest is"):
        Manifest.model_validate_json(added)


def test_learned_latents_need_their_graphs() -> None:
    latents = LatentsSpec(prior=GaussianMixtureSpec(components=2))
    with pytest.raises(ValidationError, match=r"files lacks posterior\.onnx, prior\.onnx"):
        make_manifest(latents=latents)
    files = dict.fromkeys((*REQUIRED_FILES, "posterior.onnx", "prior.onnx"), "0" * 64)
    manifest = make_manifest(latents=latents, files=files)
    assert (manifest.noise_dim, len(manifest.graphs)) == (3, 5)


def changes(content: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The path of every leaf."""
    if isinstance(content, dict):
        return [leaf for key, value in content.items() for leaf in changes(value, (*path, key))]
    if isinstance(content, list):
        return [leaf for i, value in enumerate(content) for leaf in changes(value, (*path, i))]
    return [path]


LEAVES = sorted(changes(json.loads(make_manifest().model_dump_json())), key=str)


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: ".".join(map(str, leaf)))
def test_a_change_of_any_value_is_refused(leaf: tuple[str | int, ...]) -> None:
    content = json.loads(make_manifest().model_dump_json())
    place = content
    for key in leaf[:-1]:
        place = place[key]
    old = place[leaf[-1]]
    place[leaf[-1]] = {str: "f" * 64, int: 7, float: 0.5, type(None): 1.0}[type(old)]
    with pytest.raises(ValidationError):
        Manifest.model_validate_json(json.dumps(content))


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "/etc/passwd", "a/b", "checkpoint.pt", "encoder.onnx.data", "..", ""],
)
def test_a_file_that_does_not_belong_in_a_bundle_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="files"):
        make_manifest(files={**dict.fromkeys(REQUIRED_FILES, "0" * 64), name: "0" * 64})


def test_a_missing_file_is_named() -> None:
    files = dict.fromkeys(REQUIRED_FILES - {"golden.npz"}, "0" * 64)
    with pytest.raises(ValidationError, match=r"files lacks golden\.npz"):
        make_manifest(files=files)


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", ".hidden", "a b", "x" * 65, "é"])
def test_a_name_that_is_no_directory_or_url_segment_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="name"):
        make_manifest(name=name)


@pytest.mark.parametrize(
    "fields",
    [
        {"surprise": 1},
        {"version": 0},
        {"latent_dim": 0},
        {"schema_version": 2},
        {"created": datetime(2025, 1, 1)},
        {"metrics": {"elbo": float("nan")}},
        {"network": {"kind": "transformer"}},
        {"likelihood": {"kind": "bernoulli", "variance": "unit"}},
    ],
)
def test_unknown_and_impossible_fields_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        make_manifest(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({**VECTOR, "shape": (3, 4)}, r"needs a shape of one dimension, \(D,\); given \(3, 4\)"),
        ({**IMAGE, "shape": (8,)}, r"an image needs shape \(H, W\) or .*; given \(8,\)"),
        ({**IMAGE, "shape": (8, 8, 1)}, "an image needs shape"),
        ({**IMAGE, "range": (1, 1)}, "low < high"),
        ({**VECTOR, "columns": ("a", "b")}, r"every element of shape \(3,\); given 2 names"),
        ({**VECTOR, "shape": ()}, "shape"),
        ({**VECTOR, "shape": (0,)}, "shape"),
    ],
)
def test_an_input_that_contradicts_itself_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        InputSpec(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"preprocessing": Preprocessing(scale=(1.0, 2.0))},
            "2 values; expected 1 or 3",
        ),
        ({"network": ConvSpec()}, "conv network needs images"),
        ({"autoregression": AutoregressionSpec()}, "over the pixels of an image"),
        (
            {"autoregression": AutoregressionSpec(radius=8), "input": InputSpec(**IMAGE)},
            "radius 8 needs images of 9×9 or more",
        ),
        *(
            (
                {
                    "autoregression": AutoregressionSpec(radius=1),
                    "input": InputSpec(**IMAGE),
                    "likelihood": likelihood,
                },
                "the same for all pixels",
            )
            for likelihood in (NegativeBinomialSpec(), GaussianSpec(variance="per-element"))
        ),
        (
            {"likelihood": CategoricalSpec()},
            "needs integers of a known range, .*; the input is float32",
        ),
        (
            {"likelihood": LogisticMixtureSpec(), "input": InputSpec(**IMAGE)},
            r"scaled to \[0, 1\], by shift 0 and scale 16; given shift",
        ),
        (
            {"likelihood": PoissonSpec(), "preprocessing": Preprocessing(scale=(2.0,))},
            r"needs counts without scaling; given shift \(0\.0,\) and scale \(2\.0,\)",
        ),
        (
            {"network": ConvSpec(), "input": InputSpec(**{**IMAGE, "shape": (7, 9)})},
            r"needs images of 8×8 or more; given \(7, 9\)",
        ),
    ],
)
def test_parts_that_do_not_fit_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ModelSpec(
            **{
                "input": InputSpec(**VECTOR),
                "latent_dim": 2,
                "likelihood": BernoulliSpec(),
                "network": MLPSpec(),
                **fields,
            }
        )


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), float("nan")])
def test_a_scale_that_cannot_divide_is_refused(scale: float) -> None:
    with pytest.raises(ValidationError, match="scale"):
        Preprocessing(scale=(scale,))
