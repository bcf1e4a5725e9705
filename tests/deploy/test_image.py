"""The parts that an image is put together by, without Docker."""

import importlib.metadata
import re
import shutil
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from deploy.image import binaries, rootfs, sbom
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
    assert named - known == {"VAE_PORTS"}  # which is Compose's


def test_unused_files_stay_behind(tmp_path: Path) -> None:
    source = tmp_path / "source"
    unused = (
        "a/tests/test_a.py",
        "b/c/d.pyi",
        "bin/tool",
        "PIL/__pycache__/ImageFont.cpython-311.pyc",
    )
    for name in ("a/keep.py", "a/bin.py", "a/__pycache__/bin.cpython-311.pyc", *unused):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).touch()
    rootfs.copy_without(rootfs.UNUSED_PACKAGES, source, tmp_path / "copy")
    kept = {
        path.relative_to(tmp_path / "copy").as_posix() for path in (tmp_path / "copy").rglob("*.*")
    }
    assert kept == {"a/keep.py", "a/bin.py", "a/__pycache__/bin.cpython-311.pyc"}


def test_every_pattern_of_unused_packages_still_means_something() -> None:
    """Else a new version of a package has moved what was left out, and it is in the image."""
    packages = Path(str(importlib.metadata.distribution("onnxruntime").locate_file("")))
    paths = [path.relative_to(packages).as_posix() for path in packages.rglob("*")]
    not_editable = {"bin", "training"}  # are there in an installation of another kind
    for pattern in set(rootfs.UNUSED_PACKAGES) - not_editable:
        assert any(fnmatch(path, pattern) for path in paths), pattern


@pytest.mark.skipif(shutil.which("ldd") is None, reason="needs ldd")
def test_what_a_program_loads_is_found(tmp_path: Path) -> None:
    shutil.copy(Path(sys.executable).resolve(), tmp_path / "python")
    (tmp_path / "text").write_text("no binary")
    assert list(binaries.binaries(tmp_path)) == [tmp_path / "python"]
    names = {path.name for path in binaries.loaded_by([tmp_path / "python"])}
    assert any(name.startswith("libc.so") for name in names)
    assert any(name.startswith("ld-linux") for name in names)


@pytest.mark.skipif(shutil.which("ldd") is None, reason="needs ldd")
def test_bundled_libraries_that_nothing_loads_are_deleted(tmp_path: Path) -> None:
    for name in ("package/module.so", "package.libs/orphan.so"):
        (tmp_path / name).parent.mkdir()
        shutil.copy(Path(sys.executable).resolve(), tmp_path / name)
    binaries.prune(tmp_path)
    assert [path.name for path in binaries.binaries(tmp_path)] == ["module.so"]


def test_the_sbom_lists_python_its_packages_and_those_of_debian(tmp_path: Path) -> None:
    packages = tmp_path / "usr/local/lib/python3.11/site-packages"
    (packages / "Foo_Bar-1.2.dist-info").mkdir(parents=True)
    (packages / "Foo_Bar-1.2.dist-info/METADATA").write_text(
        "Metadata-Version: 2.4\nName: Foo_Bar\nVersion: 1.2\nLicense-Expression: MIT\n"
    )
    status = tmp_path / "var/lib/dpkg/status.d"
    status.mkdir(parents=True)
    (status / "libc6").write_text(
        "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1:2.36-9+b1\n"
    )
    document = sbom.document("vae-server", "3", sbom.components(tmp_path))
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    by_name = {component["name"]: component for component in document["components"]}
    assert by_name.keys() == {"python", "Foo_Bar", "libc6"}
    assert by_name["Foo_Bar"]["purl"] == "pkg:pypi/foo-bar@1.2"
    assert by_name["Foo_Bar"]["licenses"] == [{"expression": "MIT"}]
    assert by_name["libc6"]["purl"] == "pkg:deb/debian/libc6@1%3A2.36-9%2Bb1?arch=amd64"
    again = sbom.document("vae-server", "3", sbom.components(tmp_path))
    assert again == document


def test_the_context_holds_what_is_copied_and_nothing_else() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in lines if line.startswith("!")}
    copied = set(re.findall(r"^COPY (?!--)(.+) \S+$", DOCKERFILE, re.MULTILINE))
    names = {name for group in copied for name in group.split()}
    assert "*" in lines
    assert {re.sub(r"^(deploy/image)/.*", r"\1", name) for name in names} == allowed
