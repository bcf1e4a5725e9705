import os
import shutil
from pathlib import Path

import pytest

from service.workers.bundle_copies import BundleCopies, BundleCopy, touch_all
from tests.fakes import write_fake_bundle
from vae.bundle import Bundle, BundleError, open_bundle


@pytest.fixture
def copies(tmp_path: Path) -> BundleCopies:
    return BundleCopies(tmp_path / "copies")


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return open_bundle(write_fake_bundle(tmp_path / "models"))


def test_a_copy_opens_as_the_original_after_that_was_removed(
    copies: BundleCopies, bundle: Bundle
) -> None:
    copy = copies.add(bundle)
    shutil.rmtree(bundle.path)
    assert copy.open() == bundle
    assert BundleCopy.from_json(copy.to_json()) == copy


def test_the_verified_bytes_are_written_and_not_those_on_the_disk(
    copies: BundleCopies, bundle: Bundle
) -> None:
    (bundle.path / "golden.npz").write_bytes(b"damaged")
    assert copies.add(bundle).open().files == bundle.files


def test_a_damaged_copy_does_not_open(copies: BundleCopies, bundle: Bundle) -> None:
    copy = copies.add(bundle)
    Path(copy.directory, "golden.npz").write_bytes(b"damaged")
    with pytest.raises(BundleError, match=r"golden\.npz is damaged"):
        copy.open()


@pytest.mark.parametrize("removed", [".", "golden.npz", "manifest.json"])
def test_a_copy_is_restored_from_its_original(
    copies: BundleCopies, bundle: Bundle, removed: str
) -> None:
    copy = copies.add(bundle)
    path = Path(copy.directory, removed)
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert not copy.is_complete
    copies.restore(copy)
    assert copy.open() == bundle


def test_a_copy_of_an_original_that_has_changed_is_not_restored(
    copies: BundleCopies, bundle: Bundle, tmp_path: Path
) -> None:
    copy = copies.add(bundle)
    shutil.rmtree(bundle.path)
    write_fake_bundle(tmp_path / "models", elbo=(-1, -1, -1, -1))
    copies.restore(copy)  # it is complete
    shutil.rmtree(copy.directory)
    with pytest.raises(BundleError, match="it has changed"):
        copies.restore(copy)


def test_all_other_copies_are_removed(copies: BundleCopies, tmp_path: Path) -> None:
    bundles = [open_bundle(write_fake_bundle(tmp_path / "models")) for _ in range(3)]
    first, second, third = map(copies.add, bundles)
    copies.remove_except([first, third])
    assert [copy.open().manifest.version for copy in (first, third)] == [1, 3]
    assert not Path(second.directory).exists()


def test_files_are_touched_at_any_depth(copies: BundleCopies, bundle: Bundle) -> None:
    copy = Path(copies.add(bundle).directory)
    paths = [copy.parent, copy, copy / "golden.npz"]
    for path in paths:
        os.utime(path, (0, 0))
    touch_all(copy.parent)
    assert all(path.stat().st_mtime > 1e9 for path in paths)
