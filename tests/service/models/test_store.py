import shutil
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
    assert list(store.scan()) == [ModelVersion("a", 1), ModelVersion("a", 2), ModelVersion("b", 1)]
    assert str(store.open(ModelVersion("b", 1)).manifest.name) == "b"
    with pytest.raises(BundleError, match=r"a/2: manifest\.json cannot be read"):
        store.open(ModelVersion("a", 2))


def test_a_stamp_changes_when_a_file_does_and_not_otherwise(tmp_path: Path) -> None:
    bundle = write_fake_bundle(tmp_path, "a")
    store = BundleStore(tmp_path)
    stamps = [store.scan()[ModelVersion("a", 1)] for _ in range(2)]
    assert stamps[0] == stamps[1]
    golden = bundle / "golden.npz"
    golden.write_bytes(golden.read_bytes())
    stamps.append(store.scan()[ModelVersion("a", 1)])
    golden.rename(bundle / "other")
    stamps.append(store.scan()[ModelVersion("a", 1)])
    assert len(set(stamps)) == 3


def test_one_bundle_alone_has_the_key_of_its_manifest_also_when_it_is_exchanged(
    tmp_path: Path,
) -> None:
    first, second = (write_fake_bundle(tmp_path / "models", "a") for _ in range(2))
    (tmp_path / "current").symlink_to(first)
    store = BundleStore(tmp_path / "current")
    assert list(store.scan()) == [ModelVersion("a", 1)]
    (tmp_path / "current").unlink()
    (tmp_path / "current").symlink_to(second)
    assert list(store.scan()) == [ModelVersion("a", 2)]
    (second / "manifest.json").write_text("{")
    assert list(store.scan()) == [ModelVersion("a", 2)]
    with pytest.raises(BundleError, match="not JSON"):
        store.open(ModelVersion("a", 2))


def test_a_bundle_elsewhere_than_its_manifest_says_is_refused(tmp_path: Path) -> None:
    bundle = write_fake_bundle(tmp_path, "a")
    shutil.copytree(bundle, tmp_path / "a" / "2")
    with pytest.raises(BundleError, match="a/2: the manifest says a/1"):
        BundleStore(tmp_path).open(ModelVersion("a", 2))


def test_a_root_that_is_gone_is_no_empty_root(tmp_path: Path) -> None:
    assert BundleStore(tmp_path).scan() == {}
    with pytest.raises(BundleError, match="no such directory"):
        BundleStore(tmp_path / "gone").scan()
