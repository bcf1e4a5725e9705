import gzip
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from training.data.dataset import DataError
from training.data.idx import DTYPES, load_idx

IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4) * 10


def idx_bytes(array: np.ndarray, code: int = 0x08) -> bytes:  # type: ignore[type-arg]
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return head + array.astype(DTYPES[code]).tobytes()


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_images(tmp_path: Path, packed: bool) -> None:
    content = idx_bytes(IMAGES)
    # Told by the content: gzipped files without .gz are about.
    path = write(tmp_path / "a-idx3-ubyte", gzip.compress(content) if packed else content)
    dataset = load_idx(path)
    assert dataset.x.tolist() == IMAGES.tolist()
    assert dataset.input.kind == "image"
    assert dataset.input.range == (0, 255)


@pytest.mark.parametrize("code", DTYPES)
def test_every_type_of_element(tmp_path: Path, code: int) -> None:
    vectors = np.array([[0, 1], [100, 3]])
    dataset = load_idx(write(tmp_path / "a.idx", idx_bytes(vectors, code)))
    assert dataset.x.tolist() == vectors.tolist()
    assert dataset.input.kind == "vector"


def test_numbers_are_big_endian(tmp_path: Path) -> None:
    content = b"\0\0\x0b\x02" + b"\0\0\0\x01" * 2 + b"\x01\x02"
    assert load_idx(write(tmp_path / "a.idx", content)).x.item() == 0x0102


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an IDX file: it starts with nothing"),
        (b"\x89PNG\r\n", "not an IDX file: it starts with 89 50 4e 47"),
        (b"\0\0\x07\x01\0\0\0\x01\0", "not an IDX file"),
        (b"\0\0\x08\x00\x01", "not an IDX file"),
        (b"\0\0\x08\x03\0\0\0\x01", "ends within its header"),
        (idx_bytes(IMAGES)[:-1], "should hold 24 bytes .* has only 23"),
        (idx_bytes(IMAGES) + b"\0", "should hold 24 bytes .* has more"),
        (b"\0\0\x08\x04" + b"\xff" * 16, "cannot be read|should hold"),
        (gzip.compress(idx_bytes(IMAGES), mtime=0)[:-9], "cannot be read"),
        (idx_bytes(np.zeros(3, np.uint8)), "expected vectors"),
        (idx_bytes(np.zeros((0, 2, 2), np.uint8)), "empty"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=f"a-ubyte.*({message})"):
        load_idx(write(tmp_path / "a-ubyte", content))


def test_a_gzip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = write(tmp_path / "a-ubyte.gz", gzip.compress(idx_bytes(IMAGES) + bytes(20_000_000)))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="has more"):
            load_idx(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000


@pytest.mark.parametrize("labels", [np.arange(3), np.zeros((2, 2)), np.zeros((1, 2))])
def test_labels_that_are_not_one_a_row_are_refused(tmp_path: Path, labels: np.ndarray) -> None:  # type: ignore[type-arg]
    path = write(tmp_path / "a-images-idx3-ubyte", idx_bytes(IMAGES))
    write(tmp_path / "a-labels-idx1-ubyte", idx_bytes(labels))
    with pytest.raises(DataError, match=r"a-labels-idx1-ubyte holds .* each of the 2 rows of a-im"):
        load_idx(path)


def test_without_labels_beside_there_are_none(tmp_path: Path) -> None:
    assert load_idx(write(tmp_path / "a-images-idx3-ubyte", idx_bytes(IMAGES))).labels is None
