from pathlib import Path

import pytest

from service.repository import verified
from service.snapshot import write_snapshot
from tests.fakes import write_fake_bundle


def test_a_snapshot_verifies_and_lies_as_the_originals_did(tmp_path: Path) -> None:
    models, snapshot = tmp_path / "models", tmp_path / "snapshot"
    for name in ("one", "one", "two"):
        write_fake_bundle(models, name)
    write_snapshot(verified(models), models, snapshot)
    copies = list(verified(snapshot))
    assert [copy.path.relative_to(snapshot) for copy in copies] == [
        Path("one/1"),
        Path("one/2"),
        Path("two/1"),
    ]
    for copy, original in zip(copies, verified(models), strict=True):
        assert copy.manifest == original.manifest
        assert copy.files == original.files


def test_a_single_bundle_is_the_root(tmp_path: Path) -> None:
    bundle = write_fake_bundle(tmp_path / "models")
    write_snapshot(verified(bundle), bundle, tmp_path / "snapshot")
    (copy,) = verified(tmp_path / "snapshot")
    assert copy.path == tmp_path / "snapshot"


def test_the_bytes_that_were_verified_are_written_not_those_on_the_disk(tmp_path: Path) -> None:
    bundle = write_fake_bundle(tmp_path / "models")
    opened = list(verified(bundle))
    (bundle / "golden.npz").write_bytes(b"damaged")
    write_snapshot(opened, bundle, tmp_path / "snapshot")
    assert len(list(verified(tmp_path / "snapshot"))) == 1
    with pytest.raises(Exception, match=r"golden\.npz is damaged"):
        list(verified(bundle))
