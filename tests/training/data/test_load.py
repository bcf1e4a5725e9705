import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from training.data.dataset import DataError
from training.data.load import load_dataset

IDX = struct.pack(">BBBB3I", 0, 0, 8, 3, 2, 3, 4) + bytes(range(24))


def test_digits() -> None:
    dataset = load_dataset("digits")
    assert dataset.x.shape == (1797, 8, 8)
    assert dataset.x.dtype == torch.uint8
    assert dataset.input.range == (dataset.x.min(), dataset.x.max()) == (0, 16)
    assert dataset.x.is_contiguous()
    assert dataset.labels is not None
    assert sorted(set(dataset.labels.tolist())) == list(range(10))


def test_files_are_known_by_their_names(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.eye(3))
    np.savez(tmp_path / "a.NPZ", np.eye(3))
    (tmp_path / "a.NPZ.npz").rename(tmp_path / "a.NPZ")
    (tmp_path / "a-idx3-ubyte").write_bytes(IDX)
    (tmp_path / "a-idx3-ubyte.gz").write_bytes(gzip.compress(IDX))
    (tmp_path / "a.idx").write_bytes(IDX)
    (tmp_path / "a.csv").write_text("a,b\n1,2\n3,4\n")
    shapes = {path.name: tuple(load_dataset(str(path)).x.shape) for path in tmp_path.iterdir()}
    assert shapes == {
        "a.npy": (3, 3),
        "a.NPZ": (3, 3),
        "a-idx3-ubyte": (2, 3, 4),
        "a-idx3-ubyte.gz": (2, 3, 4),
        "a.idx": (2, 3, 4),
        "a.csv": (2, 2),
    }


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "train-images.idx3-ubyte"])
def test_a_folder_as_mnist_comes(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(IDX))
    labels = name.replace("images", "labels").replace("idx3", "idx1")
    content = struct.pack(">BBBBI", 0, 0, 8, 1, 2) + bytes([7, 3])
    (tmp_path / f"{labels}.gz").write_bytes(gzip.compress(content))
    dataset = load_dataset(str(tmp_path))
    assert dataset.x.flatten().tolist() == list(range(24))
    assert dataset.labels is not None
    assert dataset.labels.tolist() == [7, 3]


def test_a_folder_of_images(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    assert load_dataset(str(tmp_path), image_size=(3, 4), gray=True).x.shape == (1, 3, 4)


def test_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    np.save(tmp_path / "a.npy", np.eye(3))
    assert len(load_dataset("~/a.npy")) == 3


@pytest.mark.parametrize("source", ["nowhere", "~no-such-user-/a.npy", "a" * 5000])
def test_a_missing_source_is_named(source: str) -> None:
    with pytest.raises(DataError, match=f"^{source} (does not exist|cannot be read)"):
        load_dataset(source)


def test_an_unknown_kind_lists_what_is_understood(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(DataError, match=r"a\.txt is of an unknown type") as caught:
        load_dataset(str(tmp_path / "a.txt"))
    for word in ("digits", "PNG", "JPEG", "ubyte", ".npy", ".npz", ".csv", ".parquet"):
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": (8, 8)}, "only to a folder of images"),
        ({"gray": True}, "only to a folder of images"),
        ({"columns": ("a",)}, "only to a CSV or Parquet table"),
        ({"condition_columns": ("a",)}, "only to a CSV or Parquet table"),
    ],
)
def test_an_option_that_does_not_apply_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=f"digits: .*{message}"):
        load_dataset("digits", **options)
