"""The formats that the servers read and write: request bodies from arrays, arrays from replies."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import safetensors.numpy

from bench.models import LATENT_DIM, PIXELS, Array
from bench.workloads import Verb

WIDTHS: Final[Mapping[Verb, Mapping[str, int]]] = {
    "encode": {"mu": LATENT_DIM, "logvar": LATENT_DIM},
    "reconstruct": {"outputs": PIXELS},
    "sample": {"latents": LATENT_DIM, "outputs": PIXELS},
}
"""The arrays of a reply and the length of their rows, in the order of columns."""

JSON: Final = {"Content-Type": "application/json"}
OCTETS: Final = {"Content-Type": "application/octet-stream"}
SAFETENSORS: Final = {"Content-Type": "application/x-safetensors"}

V2_JSON_BYTES: Final = "inference-header-content-length"

Headers = Mapping[str, str]
Message = tuple[bytes, Headers]
"""A body and its headers. The names of a reply's headers are in lower case."""


def image_body(form: str, x: Array) -> Message:
    """The request of encode or reconstruct for images (rows, PIXELS)."""
    return IMAGE_BODIES[form](x)


def sample_body(form: str, rows: int, seed: int | None) -> Message:
    """The request of sample; without ``seed`` the server draws its own noise."""
    if form == "v2":
        numbers = {"n": rows, "seed": -1 if seed is None else seed}
        tensors = [_v2_tensor(name, "INT32", [1], [value]) for name, value in numbers.items()]
        return json.dumps({"inputs": tensors}).encode(), JSON
    return json.dumps({"n": rows} if seed is None else {"n": rows, "seed": seed}).encode(), JSON


def read_reply(form: str, verb: Verb, reply: Message) -> dict[str, Array]:
    """The arrays of a reply by name, two axes each. Raises what the format's parser raises."""
    arrays = REPLIES[form](verb, *reply)
    return {name: np.asarray(a, np.float32).reshape(len(a), -1) for name, a in arrays.items()}


def _json_rows(x: Array) -> str:
    rows = [[round(pixel, 4) for pixel in row] for row in x.tolist()]
    return json.dumps(rows, separators=(",", ":"))


def _json_body(x: Array) -> Message:
    return f'{{"inputs":{_json_rows(x)}}}'.encode(), JSON


def _float32_body(x: Array) -> Message:
    return x.tobytes(), OCTETS


def _safetensors_body(x: Array) -> Message:
    accept = {"Accept": SAFETENSORS["Content-Type"]}
    return safetensors.numpy.save({"inputs": x}), {**SAFETENSORS, **accept}


def _v2_tensor(name: str, datatype: str, shape: list[int], data: Any) -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": datatype, "data": data}


def _v2_body(x: Array) -> Message:
    pixels = [round(pixel, 4) for pixel in x.ravel().tolist()]
    tensor = _v2_tensor("inputs", "FP32", list(x.shape), pixels)
    return json.dumps({"inputs": [tensor]}, separators=(",", ":")).encode(), JSON


def _v2_binary_body(x: Array) -> Message:
    """The binary tensor extension: JSON, then the bytes of the tensor."""
    tensor = {"name": "inputs", "shape": list(x.shape), "datatype": "FP32"}
    head = json.dumps(
        {
            "inputs": [{**tensor, "parameters": {"binary_data_size": x.nbytes}}],
            "parameters": {"binary_data_output": True},
        }
    ).encode()
    return head + x.tobytes(), {**OCTETS, V2_JSON_BYTES: str(len(head))}


def _columns(verb: Verb, rows: Array) -> dict[str, Array]:
    ends = np.cumsum(list(WIDTHS[verb].values()))
    if rows.shape[1] != ends[-1]:
        raise ValueError(f"rows of {rows.shape[1]} numbers, expected {ends[-1]}")
    return dict(zip(WIDTHS[verb], np.split(rows, ends[:-1], axis=1), strict=True))


def _read_json(verb: Verb, body: bytes, _: Headers) -> dict[str, Array]:
    members = json.loads(body)
    return {name: np.array(members[name], np.float32) for name in WIDTHS[verb]}


def _read_json_rows(verb: Verb, body: bytes, _: Headers) -> dict[str, Array]:
    return _columns(verb, np.array(json.loads(body), np.float32))


def _read_float32(verb: Verb, body: bytes, _: Headers) -> dict[str, Array]:
    width = sum(WIDTHS[verb].values())
    return _columns(verb, np.frombuffer(body, np.float32).reshape(-1, width))


def _read_safetensors(verb: Verb, body: bytes, _: Headers) -> dict[str, Array]:
    arrays = safetensors.numpy.load(body)
    return {name: arrays[name] for name in WIDTHS[verb]}


def _read_v2(verb: Verb, body: bytes, headers: Headers) -> dict[str, Array]:
    at = int(headers.get(V2_JSON_BYTES, len(body)))
    found = {}
    for tensor in json.loads(body[:at])["outputs"]:
        if "data" in tensor:
            values = np.array(tensor["data"], np.float32)
        else:
            end = at + tensor["parameters"]["binary_data_size"]
            values, at = np.frombuffer(body[at:end], np.float32), end
        found[tensor["name"]] = values.reshape(-1, tensor["shape"][-1])
    return {name: found[name] for name in WIDTHS[verb]}


IMAGE_BODIES: Final[Mapping[str, Callable[[Array], Message]]] = {
    "json": _json_body,
    "float32": _float32_body,
    "safetensors": _safetensors_body,
    "v2": _v2_body,
    "v2_binary": _v2_binary_body,
}
REPLIES: Final[Mapping[str, Callable[[Verb, bytes, Headers], dict[str, Array]]]] = {
    "json": _read_json,
    "json_rows": _read_json_rows,
    "float32": _read_float32,
    "safetensors": _read_safetensors,
    "v2": _read_v2,
}
