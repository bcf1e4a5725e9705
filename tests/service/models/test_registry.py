import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from service.errors import UnknownModel
from service.models.registry import ModelRegistry
from service.runtimes.runtime import RuntimeUnusable
from tests.fakes import fake_manager, load_initial, write_fake_bundle
from vae.bundle import BundleError


def load_all(models: Path, **overrides: Any) -> ModelRegistry:
    manager, loader, _ = fake_manager(models, **overrides)
    load_initial(manager, loader, overrides.get("default_model"))
    return loader.models


@pytest.fixture
def models(tmp_path: Path) -> Path:
    write_fake_bundle(tmp_path, "a")
    write_fake_bundle(tmp_path, "a")
    write_fake_bundle(tmp_path, "b")
    return tmp_path


def test_every_version_is_served_and_the_highest_is_the_latest(models: Path) -> None:
    (models / "a" / ".writing-x").mkdir()
    (models / ".hidden").mkdir()
    registry = load_all(models)
    assert (registry.names(), registry.versions("a")) == (["a", "b"], [1, 2])
    assert registry.get("a").label == "a/2"
    assert registry.get("a", 1).label == "a/1"
    asyncio.run(registry.close())


def test_one_bundle_is_served_alone_wherever_it_lies(models: Path) -> None:
    moved = models.parent / "elsewhere"
    (models / "a" / "2").rename(moved)
    registry = load_all(moved)
    assert [model.label for model in registry] == ["a/2"]
    assert registry.get().label == "a/2"


def test_several_models_need_a_default(models: Path) -> None:
    with pytest.raises(UnknownModel, match="none is the default"):
        load_all(models).get()
    assert load_all(models, default_model="b").get().label == "b/1"
    with pytest.raises(UnknownModel, match="default model"):
        load_all(models, default_model="c")


def test_a_version_that_is_put_or_taken_is_served_or_not_from_the_next_request(
    models: Path,
) -> None:
    registry = load_all(models)
    second = registry.remove("a", 2)
    assert second
    assert registry.get("a").label == "a/1"
    registry.add(second)
    assert registry.get("a") is second
    assert registry.remove("b", 1)
    assert registry.remove("b", 1) is None
    assert registry.names() == ["a"]


def test_what_is_not_served_is_named(models: Path) -> None:
    registry = load_all(models)
    with pytest.raises(UnknownModel) as no_model:
        registry.get("c")
    assert (no_model.value.expected, no_model.value.given) == ("a, b", "c")
    with pytest.raises(UnknownModel) as no_version:
        registry.get("a", 3)
    assert (no_version.value.expected, no_version.value.given) == ("1, 2", 3)


def test_a_bundle_under_another_name_is_refused(models: Path) -> None:
    shutil.copytree(models / "b" / "1", models / "a" / "3")
    with pytest.raises(BundleError, match="the manifest says b/1"):
        load_all(models, strict=True)


def test_an_edited_manifest_is_refused(models: Path) -> None:
    path = models / "b" / "1" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["metrics"]["elbo"] += 1
    path.write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="digest"):
        load_all(models, strict=True)


def test_golden_outputs_must_come_back(models: Path) -> None:
    with pytest.raises(BundleError, match="decoder misses the golden mean by"):
        load_all(models, runtime="tests.fakes:BrokenRuntime")


@pytest.mark.parametrize("elbo", [(), (1.0, 0.0), ((0.0, 1.0),), (0.0, float("nan"))])
def test_p_values_need_an_ascending_list(tmp_path: Path, elbo: Any) -> None:
    write_fake_bundle(tmp_path, elbo=elbo)
    with pytest.raises(BundleError, match="ascending"):
        load_all(tmp_path)


@pytest.mark.parametrize("place", ["missing", "empty", "file"])
def test_nothing_to_serve(tmp_path: Path, place: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(BundleError, match=place):
        load_all(tmp_path / place)


@pytest.mark.parametrize(
    "runtime", ["tensorflow", "service.nothing:Runtime", "service.models.model:Nope"]
)
def test_an_unknown_runtime_is_named(models: Path, runtime: str) -> None:
    with pytest.raises(RuntimeUnusable, match=runtime):
        load_all(models, runtime=runtime)
