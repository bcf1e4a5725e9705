import shutil
from pathlib import Path

import pytest

from service.workers.snapshot import Snapshot
from tests.fakes import write_fake_bundle
from vae.bundle import BundleError, open_bundle


def test_a_copy_opens_as_the_original_whatever_became_of_that(tmp_path: Path) -> None:
    original = open_bundle(write_fake_bundle(tmp_path / "models"))
    copy = Snapshot(tmp_path / "copies").add(original)
    shutil.rmtree(tmp_path / "models")
    assert copy.open() == original


def test_the_bytes_that_were_verified_are_written_not_those_on_the_disk(tmp_path: Path) -> None:
    bundle = open_bundle(write_fake_bundle(tmp_path / "models"))
    (bundle.path / "golden.npz").write_bytes(b"damaged")
    copy = Snapshot(tmp_path / "copies").add(bundle)
    assert copy.open().files == bundle.files


def test_a_damaged_copy_is_named_by_the_original(tmp_path: Path) -> None:
    bundle = open_bundle(write_fake_bundle(tmp_path / "models"))
    copy = Snapshot(tmp_path / "copies").add(bundle)
    Path(copy.directory, "golden.npz").write_bytes(b"damaged")
    with pytest.raises(BundleError, match=r"golden\.npz is damaged"):
        copy.open()


def test_only_what_is_kept_stays(tmp_path: Path) -> None:
    snapshot = Snapshot(tmp_path / "copies")
    bundles = [open_bundle(write_fake_bundle(tmp_path / "models")) for _ in range(3)]
    first, second, third = map(snapshot.add, bundles)
    snapshot.keep([first, third])
    assert [copy.open().manifest.version for copy in (first, third)] == [1, 3]
    assert not Path(second.directory).exists()
