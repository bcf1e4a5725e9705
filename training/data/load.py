"""Load the data set that ``--data`` names."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from training.data.dataset import DataError, Dataset
from training.data.digits import load_digits
from training.data.idx import is_idx, load_idx, training_images
from training.data.image_folder import load_images
from training.data.numpy_files import load_arrays
from training.data.shapes import load_shapes
from training.data.sharded import ShardedDataset, load_shards
from training.data.shards import shard_paths
from training.data.tables import load_csv, load_parquet

Kind = Literal["embedded", "images", "idx", "arrays", "csv", "parquet", "shards"]

EMBEDDED: dict[str, Callable[[], Dataset]] = {"digits": load_digits, "shapes": load_shapes}
"""Data sets without a file, by name."""

SUFFIXES: dict[str, Kind] = {
    ".npy": "arrays",
    ".npz": "arrays",
    ".csv": "csv",
    ".parquet": "parquet",
}

TABLES = ("csv", "parquet")

SOURCES = """data must be one of
  digits              the 8×8 digits of scikit-learn
  shapes              16×16 colour images of shapes, drawn on demand
  a folder            PNG and JPEG images at any depth, or train-images-idx3-ubyte[.gz],
                      or *.npy or *.parquet shards, which are streamed
  *-ubyte[.gz]        an IDX file, as MNIST comes
  *.npy, *.npz        a NumPy array: (rows, D), (rows, H, W) or (rows, H, W, 1 or 3);
                      x.npz:test names one of several arrays in a file, and
                      x.npz:train+valid concatenates two
  *.csv, *.parquet    a table of numbers"""


def load_dataset(
    source: str,
    *,
    image_size: tuple[int, int] | None = None,
    gray: bool = False,
    columns: tuple[str, ...] | None = None,
    condition_columns: tuple[str, ...] | None = None,
) -> Dataset | ShardedDataset:
    """Load ``source`` into memory, or open it for streaming if it is a folder of shards.

    ``image_size`` (height, width) and ``gray`` apply to a folder of images, ``columns`` to tables
    and shards, ``condition_columns`` to a table. Raises DataError if the source is unknown,
    unreadable or empty, contains a value that is not a finite number, or does not take an option.
    """
    source, part = _split(source)
    path, kind = _find(source)
    for given, kinds, reason in (
        (image_size or gray, ("images",), "image size and gray apply only to a folder of images"),
        (columns, (*TABLES, "shards"), "columns apply only to a CSV or Parquet table"),
        (condition_columns, TABLES, "condition columns apply only to a CSV or Parquet table"),
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
    """Split ``a/x.npz:test`` into the file ``a/x.npz`` and the array ``test``."""
    path, separator, part = source.rpartition(".npz:")
    return (f"{path}.npz", part) if separator else (source, None)


def _find(source: str) -> tuple[Path, Kind]:
    """The file or folder that ``source`` names, and its kind."""
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
        raise DataError(f"{source} does not exist; {SOURCES}")
    kind = "idx" if is_idx(path) else SUFFIXES.get(path.suffix.lower())
    if kind is None:
        raise DataError(f"{source} is of an unknown type; {SOURCES}")
    return path, kind
