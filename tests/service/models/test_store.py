import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from service.models.store import BundleStore, ModelVersion
from tests.fakes import write_fake_bundle
from vae.bundle import BundleError


def test_a_directory_of_bundles_is_read_by_its_names_alone(tmp_path: Path) -> None:
    write_fake_bundle(tmp_path, "a")
    write_fake_bundle(tmp_path, "b")
    for other in ("a/.writing-x", "a/2", "a/03", ".hidden/1"):
        (tmp_path / other).mkdir(parents=True)
    store = BundleStore(tmp_path)
    assert list(store.scan().versions) == [
        ModelVersion("a", 1),
        ModelVersion("a", 2),
        ModelVersion("b", 1),
    ]
    assert str(store.open(ModelVersion("b", 1)).manifest.name) == "b"
    with pytest.raises(BundleError, match=r"a/2: manifest\.json cannot be read"):
        store.open(ModelVersion("a", 2))


def test_a_fingerprint_changes_when_a_file_does_and_not_otherwise(tmp_path: Path) -> None:
    bundle = write_fake_bundle(tmp_path, "a")
    store = BundleStore(tmp_path)
    fingerprints = [store.scan().versions[ModelVersion("a", 1)] for _ in range(2)]
    assert fingerprints[0] == fingerprints[1]
    golden = bundle / "golden.npz"
    golden.write_bytes(golden.read_bytes())
    fingerprints.append(store.scan().versions[ModelVersion("a", 1)])
    golden.rename(bundle / "other")
    fingerprints.append(store.scan().versions[ModelVersion("a", 1)])
    assert len(set(fingerprints)) == 3


def test_one_bundle_alone_has_the_key_of_its_manifest_also_when_it_is_exchanged(
    tmp_path: Path,
) -> None:
    first, second = (write_fake_bundle(tmp_path / "models", "a") for _ in range(2))
    (tmp_path / "current").symlink_to(first)
    store = BundleStore(tmp_path / "current")
    assert list(store.scan().versions) == [ModelVersion("a", 1)]
    (tmp_path / "current").unlink()
    (tmp_path / "current").symlink_to(second)
    assert list(store.scan().versions) == [ModelVersion("a", 2)]
    (second / "manifest.json").write_text("{")
    assert list(store.scan().versions) == [ModelVersion("a", 2)]
    with pytest.raises(BundleError, match="not JSON"):
        store.open(ModelVersion("a", 2))


def test_a_bundle_elsewhere_than_its_manifest_says_is_refused(tmp_path: Path) -> None:
    bundle = write_fake_bundle(tmp_path, "a")
    shutil.copytree(bundle, tmp_path / "a" / "2")
    with pytest.raises(BundleError, match="a/2: the manifest says a/1"):
        BundleStore(tmp_path).open(ModelVersion("a", 2))


def test_a_root_that_is_gone_is_no_empty_root(tmp_path: Path) -> None:
    assert BundleStore(tmp_path).scan().versions == {}
    with pytest.raises(BundleError, match="no such directory"):
        BundleStore(tmp_path / "gone").scan()


def dangling_link(path: Path) -> None:
    path.symlink_to("nowhere")


def link_loop(path: Path) -> None:
    path.symlink_to(path.name)


def fifo(path: Path) -> None:
    os.mkfifo(path)


BROKEN = {"dangling link": dangling_link, "link loop": link_loop, "FIFO": fifo}
broken = pytest.mark.parametrize("make", BROKEN.values(), ids=BROKEN)


@broken
@pytest.mark.parametrize("file", ["manifest.json", "encoder.onnx", "other"])
def test_a_broken_file_of_one_version_hides_no_other(
    tmp_path: Path, make: Callable[[Path], None], file: str
) -> None:
    write_fake_bundle(tmp_path, "a")
    bad = write_fake_bundle(tmp_path, "a")
    (bad / file).unlink(missing_ok=True)
    make(bad / file)
    store = BundleStore(tmp_path)
    assert list(store.scan().versions) == [ModelVersion("a", 1), ModelVersion("a", 2)]
    assert store.scan() == store.scan()
    if file != "other":
        with pytest.raises(BundleError) as refused:
            store.open(ModelVersion("a", 2))
        assert refused.value.reason.startswith(file)
        assert str(tmp_path) not in refused.value.reason


@pytest.mark.parametrize("make", [dangling_link, link_loop])
def test_a_broken_link_in_place_of_a_version_is_a_version_that_cannot_be_read(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    write_fake_bundle(tmp_path, "a")
    make(tmp_path / "a" / "2")
    store = BundleStore(tmp_path)
    assert list(store.scan().versions) == [ModelVersion("a", 1), ModelVersion("a", 2)]
    with pytest.raises(BundleError, match=r"manifest\.json cannot be read"):
        store.open(ModelVersion("a", 2))


@pytest.mark.parametrize("make", [dangling_link, link_loop])
def test_a_broken_link_in_place_of_a_model_is_skipped_with_the_reason(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    write_fake_bundle(tmp_path, "a")
    make(tmp_path / "b")
    scan = BundleStore(tmp_path).scan()
    assert list(scan.versions) == [ModelVersion("a", 1)]
    assert list(scan.skipped) == ["b"]


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone becomes a user who may not read")
def test_a_directory_without_permissions_hides_no_other(tmp_path: Path) -> None:
    for parent in (tmp_path, *tmp_path.parents):
        if parent.name.startswith(("pytest-", "popen-", "test_")):
            parent.chmod(0o755)
    write_fake_bundle(tmp_path, "a")
    for closed in ("a/2", "b", "lost+found"):
        (tmp_path / closed).mkdir(mode=0o700)
    store = BundleStore(tmp_path)
    os.seteuid(65534)
    try:
        scan = store.scan()
        with pytest.raises(BundleError, match=r"manifest\.json cannot be read: Permission denied"):
            store.open(ModelVersion("a", 2))
    finally:
        os.seteuid(0)
    assert list(scan.versions) == [ModelVersion("a", 1), ModelVersion("a", 2)]
    assert scan.skipped["b"] == "Permission denied"
    assert list(scan.skipped) == ["b", "lost+found"]


def test_a_model_whose_directory_cannot_be_read_keeps_its_versions(tmp_path: Path) -> None:
    write_fake_bundle(tmp_path / "elsewhere", "a")
    root = tmp_path / "models"
    root.mkdir()
    (root / "a").symlink_to(tmp_path / "elsewhere" / "a")
    store = BundleStore(root)
    before = store.scan()
    (tmp_path / "elsewhere").rename(tmp_path / "unmounted")
    assert store.scan().versions == before.versions
    assert store.scan().versions == before.versions
    (root / "a").unlink()
    assert store.scan().versions == {}


@pytest.mark.parametrize("name", ["a b", "line\nbreak", "caf\xe9", os.fsdecode(b"\xff")])
def test_a_directory_that_is_no_model_name_is_skipped(tmp_path: Path, name: str) -> None:
    write_fake_bundle(tmp_path, "a")
    (tmp_path / name / "1").mkdir(parents=True)
    scan = BundleStore(tmp_path).scan()
    assert list(scan.versions) == [ModelVersion("a", 1)]
    assert list(scan.skipped) == [name]
