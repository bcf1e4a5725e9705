"""Load a folder of PNG and JPEG images: uint8, gray (H, W) or colour (H, W, 3).

Images are rotated by their EXIF orientation, alpha channels are dropped, and 16-bit gray is reduced
to 8 bits.
"""

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from training.data.dataset import DataError, Dataset
from training.data.numpy_files import Array
from vae.manifest import InputSpec

SUFFIXES = {".png", ".jpg", ".jpeg"}
SIXTEEN_BIT_GRAY = {"I", "I;16", "I;16B", "I;16L"}
GRAY = {"1", "L", "LA", *SIXTEEN_BIT_GRAY}


def load_images(folder: Path, *, image_size: tuple[int, int] | None, gray: bool) -> Dataset:
    """All images under ``folder``, at any depth, sorted by path, without hidden files.

    ``image_size`` (height, width) resizes them; without it all must have the same size. The images
    are gray if ``gray`` is true or if every file is gray. Raises DataError, with the file name, if
    an image is damaged, too large to decode safely, or of another size than the first.
    """
    if image_size is not None and min(image_size) < 1:
        raise DataError(f"image size must be (height, width) of 1 or more, not {image_size}")
    paths = _image_files(folder)
    gray = gray or all(_is_gray(path) for path in paths)
    first = _decode(paths[0], image_size, gray)
    x = _allocate((len(paths), *first.shape), folder)
    for row, path in enumerate(paths):
        image = _decode(path, image_size, gray)
        if image.shape != first.shape:
            raise DataError(
                f"{path} is {_size(image)} (height × width), but {paths[0]} is {_size(first)}; "
                "set --image-size to resize all of them"
            )
        x[row] = image
    spec = InputSpec(kind="image", shape=first.shape, dtype="uint8", range=(0, 255))
    labels, classes = _folders(paths, folder)
    return Dataset(torch.from_numpy(x), spec, labels, classes)


def _folders(paths: list[Path], folder: Path) -> tuple[torch.Tensor | None, tuple[str, ...] | None]:
    """The class of each image by its folder, if all images lie in two or more folders."""
    names = [path.relative_to(folder).parts[0] for path in paths if path.parent != folder]
    classes = tuple(sorted(set(names)))
    if len(names) < len(paths) or len(classes) < 2:
        return None, None
    return torch.tensor([classes.index(name) for name in names]), classes


def _image_files(folder: Path) -> list[Path]:
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
    if not paths:
        raise DataError(f"{folder} holds no PNG or JPEG image")
    return paths


def _allocate(shape: tuple[int, ...], folder: Path) -> Array:
    try:
        return np.empty(shape, np.uint8)
    except MemoryError:
        raise DataError(
            f"{folder}: {shape[0]} images of {shape[1]}×{shape[2]} do not fit into memory; "
            "choose a smaller image size"
        ) from None


def _is_gray(path: Path) -> bool:
    with _opened(path) as image:
        return image.mode in GRAY


def _decode(path: Path, image_size: tuple[int, int] | None, gray: bool) -> Array:
    with _opened(path) as stored:
        image = ImageOps.exif_transpose(stored)
        if image.mode in SIXTEEN_BIT_GRAY:  # convert() would clip all values above 255
            image = Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
        image = image.convert("L" if gray else "RGB")
        if image_size is not None and image.size != image_size[::-1]:
            image = image.resize(image_size[::-1], Image.Resampling.LANCZOS)
        return np.asarray(image)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open the image in a file. All errors of Pillow become DataError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=("PNG", "JPEG")) as image:
                yield image
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError(f"{path} is too large to decode safely: {error}") from None
    except (OSError, ValueError, SyntaxError, EOFError, struct.error) as error:
        raise DataError(f"{path} cannot be read as an image: {error}") from None


def _size(image: Array) -> str:
    return f"{image.shape[0]}×{image.shape[1]}"
