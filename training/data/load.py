"""From what a user names to a data set in memory."""

import re
from pathlib import Path

from training.data import digits, idx, images
from training.data.arrays import load_arrays
from training.data.dataset import DataError, Dataset
from training.data.tables import load_csv, load_parquet

UNDERSTOOD = """\
  digits                  8×8 digits that come with scikit-learn
  a folder                PNG and JPEG images at any depth, or train-images-idx3-ubyte[.gz]
  *-ubyte, *.idx [.gz]    an IDX file, as MNIST comes
  *.npy, *.npz            a NumPy array: (rows, D), (rows, H, W) or (rows, H, W, 1 or 3)
  *.csv, *.parquet        a table of numbers"""

IDX_NAME = re.compile(r"(-ubyte|\.idx)(\.gz)?$")


def load(
    source: str,
    *,
    image_size: tuple[int, int] | None = None,
    gray: bool = False,
    columns: tuple[str, ...] | None = None,
) -> Dataset:
    """Read all of ``source`` into memory.

    ``image_size`` (height, width) and ``gray`` are for a folder of images, ``columns`` for a table.
    Raises DataError when the source is unknown, unreadable or empty, holds what is not a finite
    number, or does not take an option that is given.
    """
    path = Path(source).expanduser()
    kind = _kind(source, path)
    if kind != "images" and (image_size is not None or gray):
        raise DataError(f"{source}: image size and gray are for a folder of images")
    if kind not in ("csv", "parquet") and columns is not None:
        raise DataError(f"{source}: columns are for a table, CSV or Parquet")
    match kind:
        case "digits":
            return digits.load_digits()
        case "images":
            return images.load_images(path, image_size=image_size, gray=gray)
        case "idx":
            return idx.load_idx(path)
        case "arrays":
            return load_arrays(path)
        case "csv":
            return load_csv(path, columns)
        case "parquet":
            return load_parquet(path, columns)
    raise DataError(f"{source} is not a source of data; these are:\n{UNDERSTOOD}")
