"""Request bodies and replies of other protocols."""

import json

import numpy as np
import pytest

from bench.formats import image_body, read_reply, sample_body
from bench.models import LATENT_DIM, PIXELS, images

X = images(2, 0)


def test_images_are_the_same_for_the_same_seed() -> None:
    assert np.array_equal(images(3, 1), images(3, 1))
    assert not np.array_equal(images(3, 1), images(3, 2))


def test_a_v2_body_holds_the_images() -> None:
    body, _ = image_body("v2", X)
    (tensor,) = json.loads(body)["inputs"]
    assert (tensor["datatype"], tensor["shape"]) == ("FP32", [2, PIXELS])
    assert np.array_equal(np.float32(tensor["data"]).reshape(2, -1), X)


def test_a_binary_v2_body_holds_the_bytes_behind_its_json() -> None:
    body, headers = image_body("v2_binary", X)
    length = int(headers["inference-header-content-length"])
    (tensor,) = json.loads(body[:length])["inputs"]
    assert tensor["parameters"] == {"binary_data_size": X.nbytes}
    assert body[length:] == X.tobytes()


def test_v2_replies_in_json_and_in_binary() -> None:
    values = {"logvar": X[:, :LATENT_DIM], "mu": X[:, LATENT_DIM : 2 * LATENT_DIM]}
    shape = [2, LATENT_DIM]
    plain = [{"name": k, "shape": shape, "data": v.ravel().tolist()} for k, v in values.items()]
    head = json.dumps(
        {
            "outputs": [
                {"name": k, "shape": shape, "parameters": {"binary_data_size": v.nbytes}}
                for k, v in values.items()
            ]
        }
    ).encode()
    binary = head + b"".join(v.tobytes() for v in values.values())
    for body, headers in (
        (json.dumps({"outputs": plain}).encode(), {}),
        (binary, {"inference-header-content-length": str(len(head))}),
    ):
        found = read_reply("v2", "encode", (body, headers))
        assert list(found) == ["mu", "logvar"]
        assert all(np.array_equal(found[name], values[name]) for name in values)


def test_rows_are_cut_into_columns() -> None:
    rows = np.concatenate((X[:, :LATENT_DIM], X), axis=1)
    found = read_reply("json_rows", "sample", (json.dumps(rows.tolist()).encode(), {}))
    assert np.array_equal(found["latents"], X[:, :LATENT_DIM])
    assert np.array_equal(found["outputs"], X)
    with pytest.raises(ValueError, match="rows of 20 numbers, expected 784"):
        read_reply("json_rows", "reconstruct", (json.dumps([[0] * 20]).encode(), {}))


def test_a_sample_may_have_a_seed() -> None:
    assert json.loads(sample_body("json", 64, None)[0]) == {"n": 64}
    assert json.loads(sample_body("json", 64, 7)[0]) == {"n": 64, "seed": 7}
    tensors = json.loads(sample_body("v2", 64, None)[0])["inputs"]
    assert [(tensor["name"], tensor["data"]) for tensor in tensors] == [("n", [64]), ("seed", [-1])]
