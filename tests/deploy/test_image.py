"""What the images are built from, without Docker."""

import re
import tomllib

import pytest

from deploy.image.requirements import requirements
from service.settings import Settings
from tests.servers import ROOT

PYPROJECT = (ROOT / "pyproject.toml").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_the_requirements_are_those_of_the_extra() -> None:
    found = requirements(PYPROJECT, "service")
    assert any(line.startswith("onnxruntime>=") for line in found)
    assert any(line.startswith("numpy") for line in found)
    assert not any(line.startswith("torch") for line in found)
    traced = requirements(PYPROJECT, "service", "otel")
    assert traced[: len(found)] == found
    assert any(line.startswith("opentelemetry-sdk") for line in traced[len(found) :])
    with pytest.raises(KeyError):
        requirements(PYPROJECT, "service", "nope")


def test_the_image_has_the_version_of_the_project() -> None:
    version = tomllib.loads(PYPROJECT)["project"]["version"]
    assert f"\nARG VERSION={version}\n" in DOCKERFILE


def test_every_variable_of_the_images_is_a_setting() -> None:
    known = {f"VAE_{name.upper()}" for name in Settings.model_fields} | {"VAE_TRAIN_MODELS"}
    named = set(re.findall(r"\bVAE_\w+", DOCKERFILE + (ROOT / "docker-compose.yml").read_text()))
    assert named - known == {"VAE_PORTS"}  # only Compose reads it


def test_the_context_holds_what_is_copied_and_nothing_else() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in lines if line.startswith("!")}
    copied = set(re.findall(r"^COPY (?!--)(.+) \S+$", DOCKERFILE, re.MULTILINE))
    names = {name for group in copied for name in group.split()}
    assert "*" in lines
    assert {re.sub(r"^(deploy/image)/.*", r"\1", name) for name in names} == allowed
