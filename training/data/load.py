"""From what a user names to a data set."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from training.data.dataset import DataError, Dataset
from training.data.digits import load_digits
from training.data.idx import is_idx, load_idx, training_images
from training.data.image_folder import load_images
from training.data.numpy_files import load_arrays
from training.data.shapes import load_shapes
from training.data.sharded import Sharded, load_shards
from training.data.shards import shard_paths
from training.data.tables import load_csv, load_parquet

Kind = Literal["embedded", "images", "idx", "arrays", "csv", "parquet", "shards"]

EMBEDDED: dict[str, Callable[[], Dataset]] = {"digits": load_digits, "shapes": load_shapes}
"""What needs no file, by the name that stands for it."""

SUFFIXES: dict[str, Kind] = {
    ".npy": "arrays",
    ".npz": "arrays",
    ".csv": "csv",
    ".parquet": "parquet",
}

TABLES = ("csv", "parquet")

UNDERSTOOD = """a source of data is one of
  digits              8×8 digits that come with scikit-learn
  shapes              16×16 shapes in colour, drawn when they are asked for
  a folder            PNG and JPEG images at any depth, or train-images-idx3-ubyte[.gz],
                      or *.npy or *.parquet shards, which are not read into memory
  *-ubyte[.gz]        an IDX file, as MNIST comes
  *.npy, *.npz        a NumPy array: (rows, D), (rows, H, W) or (rows, H, W, 1 or 3);
                      of several in a file one can be named, x.npz:test, or
                      some to be put together, x.npz:train+valid
  *.csv, *.parquet    a table of numbers"""


def load(
    source: str,
    *,
    image_size: tuple[int, int] | None = None,
    gray: bool = False,
    columns: tuple[str, ...] | None = None,
    condition_columns: tuple[str, ...] | None = None,
) -> Dataset | Sharded:
    """Read all of ``source``, into memory unless it is a folder of shards.

    ``image_size`` (height, width) and ``gray`` are for a folder of images, ``columns`` for a table,
    and ``condition_columns`` for one in a file. Raises DataError when the source is unknown,
    unreadable or empty, holds what is not a finite number, or does not take a given option.
    """
    source, part = _split(source)
    path, kind = _find(source)
    for given, kinds, reason in (
        (image_size or gray, ("images",), "image size and gray are for a folder of images"),
        (columns, (*TABLES, "shards"), "columns are for a table, CSV or Parquet"),
        (condition_columns, TABLES, "condition columns are for a table, CSV or Parquet"),
    ):
        if given and kind not in kinds:
            raise DataError(f"{source}: {reason}")
    match kind:
        case "embedded":
            return EMBEDDED[source]()
        case "images":
            return load_images(path, image_size=image_size, gray=gray)
        case "idx":
            return load_idx(path)
        case "arrays":
            return load_arrays(path, part)
        case "csv":
            return load_csv(path, columns, condition_columns or ())
        case "parquet":
            return load_parquet(path, columns, condition_columns or ())
        case "shards":
            return load_shards(shard_paths(path), columns)


def _split(source: str) -> tuple[str, str | None]:
    """``a/x.npz:test`` is the array ``test`` of ``a/x.npz``; ``:train+valid`` are two."""
    path, separator, part = source.rpartition(".npz:")
    return (f"{path}.npz", part) if separator else (source, None)


def _find(source: str) -> tuple[Path, Kind]:
    """The file or folder that ``source`` names, and what it is by its name."""
    if source in EMBEDDED:
        return Path(source), "embedded"
    try:
        path = Path(source).expanduser()
        exists = path.exists()
    except (OSError, RuntimeError) as error:
        raise DataError(f"{source} cannot be read: {error}") from None
    if path.is_dir():
        if mnist := training_images(path):
            return mnist, "idx"
        return path, "shards" if shard_paths(path) else "images"
    if not exists:
        raise DataError(f"{source} does not exist; {UNDERSTOOD}")
    kind = "idx" if is_idx(path) else SUFFIXES.get(path.suffix.lower())
    if kind is None:
        raise DataError(f"{source} is of an unknown kind; {UNDERSTOOD}")
    return path, kind
