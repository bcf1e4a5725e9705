import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from training.data.dataset import DataError, Dataset
from training.data.image_folder import load_images

GRADIENT = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20


def load(folder: Path, image_size: tuple[int, int] | None = None, gray: bool = False) -> Dataset:
    return load_images(folder, image_size=image_size, gray=gray)


def save(path: Path, mode: str = "L", **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(GRADIENT).convert(mode).save(path, **options)
    return path


def test_gray_images(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    save(tmp_path / "b.png", "1")
    dataset = load(tmp_path)
    assert dataset.x.dtype == torch.uint8
    assert dataset.x[0].tolist() == GRADIENT.tolist()
    assert dataset.input.kind == "image"
    assert dataset.input.shape == (3, 4)
    assert dataset.input.range == (0, 255)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_one_colour_image_makes_all_colour(tmp_path: Path, mode: str) -> None:
    save(tmp_path / "a.png")
    save(tmp_path / "b.png", mode)
    dataset = load(tmp_path)
    assert dataset.input.shape == (3, 4, 3)
    assert dataset.x[0, ..., 1].tolist() == GRADIENT.tolist()
    assert dataset.x.is_contiguous()


def test_colour_channels_come_last_and_in_order(tmp_path: Path) -> None:
    Image.new("RGB", (4, 3), (10, 20, 30)).save(tmp_path / "a.png")
    assert load(tmp_path).x[0, 2, 3].tolist() == [10, 20, 30]


def test_gray_on_request(tmp_path: Path) -> None:
    save(tmp_path / "a.png", "RGB")
    assert load(tmp_path, gray=True).x[0].tolist() == GRADIENT.tolist()


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    Image.fromarray(GRADIENT.astype(np.uint16) * 257).save(tmp_path / "a.png")
    assert load(tmp_path).x[0].tolist() == GRADIENT.tolist()


def test_files_at_any_depth_sorted_by_path(tmp_path: Path) -> None:
    for value, name in ((3, "c.JPEG"), (1, "a/z.jpg"), (2, "b.png"), (0, "a/b/a.PNG")):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), value * 50).save(path)
    assert load(tmp_path).x[:, 0, 0].tolist() == pytest.approx([0, 50, 100, 150], abs=2)


def test_other_and_hidden_files_are_left_out(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    (tmp_path / "labels.csv").write_text("a,1")
    (tmp_path / "._a.png").write_bytes(b"resource fork")
    assert len(load(tmp_path)) == 1


def test_resize(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    Image.new("L", (50, 40)).save(tmp_path / "b.png")
    assert load(tmp_path, image_size=(6, 8)).x.shape == (2, 6, 8)


def test_photographs_are_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it 90° clockwise
    save(tmp_path / "a.png", exif=exif)
    assert load(tmp_path).x[0].tolist() == np.rot90(GRADIENT, -1).tolist()


def test_mixed_sizes_name_the_first_that_differs(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    save(tmp_path / "b.png")
    Image.new("L", (50, 40)).save(tmp_path / "c.png")
    Image.new("L", (60, 60)).save(tmp_path / "d.png")
    with pytest.raises(DataError, match=r"c\.png is 40×50 .*a\.png is 3×4; .*resize"):
        load(tmp_path)


@pytest.mark.parametrize("keep", [0, 0.01, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("name", ["b.png", "b.jpg"])
def test_a_truncated_file_is_named(tmp_path: Path, name: str, keep: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40), np.uint8)
    for file in ("a.png", name):
        Image.fromarray(noise).save(tmp_path / file)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(DataError, match=rf"{name} cannot be read as an image"):
        load(tmp_path)


def test_another_format_under_a_png_name_is_refused(tmp_path: Path) -> None:
    gif = io.BytesIO()
    Image.fromarray(GRADIENT).save(gif, "GIF")
    (tmp_path / "a.png").write_bytes(gif.getvalue())
    with pytest.raises(DataError, match=r"a\.png cannot be read"):
        load(tmp_path)


@pytest.mark.parametrize("times", [1.5, 3])
def test_a_decompression_bomb_is_refused_by_its_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: float
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", int(GRADIENT.size / times))
    save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png is too large to decode safely"):
        load(tmp_path)


def test_a_folder_without_images(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no PNG or JPEG image"):
        load(tmp_path)


def test_an_image_size_is_positive(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"1 or more, not \(0, 5\)"):
        load(tmp_path, image_size=(0, 5))
