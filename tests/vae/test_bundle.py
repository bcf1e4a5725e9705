"""A bundle is whole or it is not there, and every kind of damage is found and named."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest

from tests.vae.test_manifest import make_manifest
from vae import bundle as bundles
from vae.bundle import MANIFEST, BundleError, open_bundle, to_npz, versions_in, write_bundle
from vae.manifest import REQUIRED_FILES, FileName

ROOT = Path(__file__).parents[2]
FIELDS: dict[str, Any] = {
    name: value
    for name, value in make_manifest()
    if name not in ("digest", "files", "version", "schema_version")
}
FILES: dict[FileName, bytes] = {name: f"this is {name}".encode() for name in REQUIRED_FILES}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return write_bundle(tmp_path, FILES, **FIELDS)


def rewrite(path: Path, **fields: Any) -> None:
    """Change fields of the manifest on the disk."""
    content = json.loads((path / MANIFEST).read_text())
    (path / MANIFEST).write_text(json.dumps({**content, **fields}))


def test_what_was_written_comes_back(written: Path, tmp_path: Path) -> None:
    assert written == tmp_path / "digits" / "1"
    found = open_bundle(written)
    assert found.files == FILES
    assert (found.manifest.name, found.manifest.version) == ("digits", 1)
    assert [entry.name for entry in written.parent.iterdir()] == ["1"]


def test_each_write_is_the_next_version(written: Path, tmp_path: Path) -> None:
    (written.parent / "7").mkdir()
    for name in ("09", "x", ".writing-old", "٣"):
        (written.parent / name).mkdir()
    (written.parent / "12").write_text("not a directory")
    assert write_bundle(tmp_path, FILES, **FIELDS).name == "8"
    assert versions_in(written.parent) == [1, 7, 8]


def test_a_real_bundle_with_each_file_flipped_in_one_bit(
    digits_bundle: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(digits_bundle, copy)
    open_bundle(copy)
    for path in sorted(copy.iterdir()):
        whole = path.read_bytes()
        for position in (0, len(whole) // 2, len(whole) - 1):
            damaged = bytearray(whole)
            damaged[position] ^= 0x10
            path.write_bytes(damaged)
            with pytest.raises(BundleError, match=path.name):
                open_bundle(copy)
        path.write_bytes(whole)
    open_bundle(copy)


@pytest.mark.parametrize("name", [*sorted(REQUIRED_FILES), MANIFEST])
def test_each_file_cut_short_emptied_or_missing_is_named(written: Path, name: str) -> None:
    path = written / name
    whole = path.read_bytes()
    for part in (whole[:-1], whole[: len(whole) // 2], b"", whole + b"\0"):
        path.write_bytes(part)
        with pytest.raises(BundleError, match=rf"{written}: {name}"):
            open_bundle(written)
    path.unlink()
    with pytest.raises(BundleError, match=rf"{name} cannot be read: No such file"):
        open_bundle(written)


@pytest.mark.parametrize("version", [0, 2, "1", None, [1], {"a": 1}])
def test_another_schema_version_is_named_before_anything_else(written: Path, version: Any) -> None:
    rewrite(written, schema_version=version, unknown_field=1)
    with pytest.raises(BundleError, match=r"has schema_version .*; this program reads 1"):
        open_bundle(written)


@pytest.mark.parametrize("text", ["[]", "1", "null", "{", "\xff", '{"a":' * 100_000])
def test_a_manifest_that_is_no_object_is_refused(written: Path, text: str) -> None:
    (written / MANIFEST).write_bytes(text.encode("latin-1"))
    with pytest.raises(BundleError, match=MANIFEST):
        open_bundle(written)


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "../1/encoder.onnx", "model.pkl", "encoder.onnx\0"]
)
def test_path_tricks_are_refused_before_any_file_is_read(written: Path, name: str) -> None:
    for victim in REQUIRED_FILES:
        (written / victim).unlink()
    files = dict.fromkeys(REQUIRED_FILES, "0" * 64)
    rewrite(written, files={**files, name: "0" * 64})
    with pytest.raises(BundleError, match=rf"{MANIFEST}: files"):
        open_bundle(written)


def test_a_changed_value_is_refused(written: Path) -> None:
    rewrite(written, latent_dim=3)
    with pytest.raises(BundleError, match="digest is"):
        open_bundle(written)


def test_what_is_no_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"nowhere: manifest\.json cannot be read"):
        open_bundle(tmp_path / "nowhere")


def test_arrays_come_back_by_name_and_nothing_is_unpickled(written: Path, tmp_path: Path) -> None:
    golden = to_npz({"x": np.arange(3, dtype=np.float32), "z": np.zeros((2, 2))})
    found = open_bundle(write_bundle(tmp_path, {**FILES, "golden.npz": golden}, **FIELDS))
    arrays = found.arrays("golden.npz", "x")
    assert list(arrays) == ["x"]
    np.testing.assert_array_equal(arrays["x"], [0, 1, 2])
    with pytest.raises(BundleError, match=r"golden\.npz does not hold y"):
        found.arrays("golden.npz", "y")
    with pytest.raises(ValueError, match="pickle"):
        to_npz({"x": np.array([object()])})


@pytest.mark.parametrize("header", [b"((((", b"not a dictionary"])
def test_an_archive_of_something_else_is_refused(tmp_path: Path, header: bytes) -> None:
    array = b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header
    archive = BytesIO()
    with ZipFile(archive, "w") as writer:
        writer.writestr("x.npy", array)
    for content in (array, archive.getvalue()):
        found = open_bundle(write_bundle(tmp_path, {**FILES, "golden.npz": content}, **FIELDS))
        with pytest.raises(BundleError, match=r"golden\.npz does not hold x"):
            found.arrays("golden.npz", "x")


def test_many_writers_at_once_get_a_version_each(tmp_path: Path) -> None:
    paths: list[Path] = []
    start = threading.Barrier(8)

    def write() -> None:
        start.wait()
        paths.append(write_bundle(tmp_path, FILES, **FIELDS))

    writers = [threading.Thread(target=write) for _ in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(path.name for path in paths) == [str(n) for n in range(1, 9)]
    for path in paths:
        assert open_bundle(path).manifest.version == int(path.name)
    assert len(list((tmp_path / "digits").iterdir())) == 8


def test_a_writer_that_fails_leaves_nothing(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0
    write = bundles._write

    def fail_at_the_fourth(path: Path, content: bytes) -> None:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise OSError(28, "No space left on device")
        write(path, content)

    monkeypatch.setattr(bundles, "_write", fail_at_the_fourth)
    with pytest.raises(OSError, match="No space left"):
        write_bundle(tmp_path, FILES, **FIELDS)
    assert [entry.name for entry in written.parent.iterdir()] == ["1"]
    open_bundle(written)


def test_fields_that_do_not_make_a_manifest_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="latent_dim"):
        write_bundle(tmp_path, FILES, **{**FIELDS, "latent_dim": 0})
    assert list((tmp_path / "digits").iterdir()) == []


def test_a_killed_writer_leaves_no_version(written: Path, tmp_path: Path) -> None:
    script = f"""
import os, pathlib
from vae import bundle
from tests.vae.test_bundle import FIELDS, FILES
bundle._claim = lambda staging, target: os.kill(os.getpid(), 9)
bundle.write_bundle(pathlib.Path({str(tmp_path)!r}), FILES, **FIELDS)
"""
    killed = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert versions_in(written.parent) == [1]
    assert write_bundle(tmp_path, FILES, **FIELDS).name == "2"


def test_a_bundle_can_be_read_by_another_user(written: Path) -> None:
    assert written.stat().st_mode & 0o055 == 0o055
    assert all(path.stat().st_mode & 0o044 for path in written.iterdir())


@pytest.mark.parametrize("file", [MANIFEST, "encoder.onnx"])
def test_only_regular_files_are_read(written: Path, file: str) -> None:
    (written / file).unlink()
    os.mkfifo(written / file)  # to open it in the usual way would wait for a writer
    with pytest.raises(BundleError, match=f"{file} is not a regular file"):
        open_bundle(written)
    (written / file).unlink()
    (written / file).symlink_to("/dev/zero")  # to read it would never end
    with pytest.raises(BundleError, match=f"{file} is not a regular file"):
        open_bundle(written)
