"""Damaged requests and bundles by the hundred thousand: read, or refused by name."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save

from service.errors import ServiceError
from service.http.inference import parse_query, read
from service.models.verbs import VERBS, Verb
from service.wire.formats import JSON, NPY, PNG, SAFETENSORS, Format
from service.wire.rows import RowSpec
from tests.fakes import IMAGE, write_fake_bundle
from tests.mutations import Mutator, attack, repair_npy, repair_png, repair_safetensors
from vae.bundle import MANIFEST, Bundle, BundleError, open_bundle
from vae.manifest import ManifestContent

FEW = 300
ROWS = np.arange(40, dtype=np.float32).reshape(2, 4, 5)
SPECS = {
    "inputs": RowSpec("inputs", (4, 5), max_rows=10, max_pixels=400, image=IMAGE),
    "latents": RowSpec("latents", (3,), max_rows=10, max_pixels=400),
}
BY_NAME = {verb.name: verb for verb in VERBS}


def words(text: str) -> list[bytes]:
    """Tokens, some of which are no text in any encoding."""
    return [*text.encode().split(), b"\xff", b"\x00", b"\xef\xbb\xbf", b"\n", b" "]


@dataclass(frozen=True)
class Prey:
    """What is attacked: whole inputs of one reader, what they are made of, and the reader."""

    wholes: list[bytes]
    tokens: list[bytes]
    read: Callable[[bytes], Any]
    count: int
    repair: Callable[[bytes], bytes] = bytes
    refusal: type[Exception] = ServiceError


def reader(form: Format, *verbs: Verb) -> Callable[[bytes], None]:
    """A request of each verb; rows that are accepted are what a batch may rely on."""

    def read_body(body: bytes) -> None:
        for verb in verbs:
            rows, _ = read(verb, SPECS, form, body, {})
            if rows is not None and verb.rows:
                shape = SPECS[verb.rows].shape
                assert rows.dtype == np.float32
                assert rows.shape[1:] == shape
                assert np.isfinite(rows).all()
                assert rows.flags.c_contiguous

    return read_body


def read_query(query: bytes) -> None:
    for name in ("sample", "score"):
        body = b"" if name == "sample" else JSON.write({"inputs": ROWS}, IMAGE)
        read(BY_NAME[name], SPECS, JSON, body, parse_query(query))


def npy_of(array: Any) -> bytes:
    buffer = BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def png_of(mode: str) -> bytes:
    buffer = BytesIO()
    pixels = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    Image.fromarray(pixels).convert(mode).save(buffer, "PNG")
    return buffer.getvalue()


REQUESTS = {
    "JSON": Prey(
        [
            json.dumps({"inputs": ROWS.tolist(), "samples": 2, "seed": 3}).encode(),
            json.dumps({"inputs": ROWS.reshape(2, 20).tolist()}).encode(),
        ],
        words(
            r'[ ] { } , : " \ 0 -1 1e999 -0.0 NaN Infinity null true [[ ]] {} [] \u0000 \ud800 '
            r'18446744073709551616 1e-400 1e39 "seed": "samples": "inputs": "latents": /**/'
        ),
        reader(JSON, BY_NAME["score"]),
        250_000,
    ),
    "options in JSON": Prey(
        [b'{"n": 3, "seed": 18446744073709551615, "temperature": 0.5}', b'{"n": 1, "seed": null}'],
        words(
            r'{ } [ ] , : " \ 1e999 1.0 -1 NaN null true "n": "seed": "sample": 9223372036854775808'
        ),
        reader(JSON, BY_NAME["sample"]),
        150_000,
    ),
    "query": Prey(
        [b"n=3&seed=1&temperature=0.5", b"samples=2&seed=7", b"n=1"],
        words(
            "& = ; % + %00 %ff seed= n= samples= temperature= true NaN inf 1e999 -1 "
            "18446744073709551616 1_000 0x10 %F0%9F%92%A9 %D9%A3"
        ),
        read_query,
        150_000,
    ),
    "npy": Prey(
        [npy_of(ROWS), npy_of(ROWS.astype(">f8")), npy_of(np.asfortranarray(ROWS.reshape(2, 20)))],
        words(
            "'<f4' '>f8' '|O' '|u1' '<c8' '<M8[s]' 'V9' True None (2,4,5) (2,20) (0,) () -1 9e9 "
            "9999999999 ( ) { } [ ] 'shape' 'descr' 'fortran_order' lambda:0 (2**60,) ((((("
        ),
        reader(NPY, BY_NAME["score"]),
        200_000,
        repair_npy,
    ),
    "safetensors": Prey(
        [save({"inputs": ROWS}), save({"inputs": ROWS.reshape(2, 20).astype(np.int16)})],
        words(
            '"F32" "BF16" "F64" "I64" [2,4,5] [2,20] [0,160] [-1,0] [0] {} [] null true 1e9 '
            '"shape" "dtype" "data_offsets" "__metadata__" "inputs" 18446744073709551615 [[[['
        ),
        reader(SAFETENSORS, BY_NAME["score"]),
        200_000,
        repair_safetensors,
    ),
    "PNG": Prey(
        [png_of(mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")],
        words("IHDR IDAT IEND PLTE tRNS acTL fcTL fdAT iCCP tEXt zTXt iTXt gAMA pHYs eXIf cHRM"),
        reader(PNG, BY_NAME["score"]),
        100_000,
        repair_png,
    ),
}


def bundle_prey(directory: Path) -> dict[str, Prey]:
    """A bundle whose manifest or arrays are damaged, half of the manifests with a right digest."""
    bundle = open_bundle(write_fake_bundle(directory))
    manifest, golden = bundle.path / MANIFEST, bundle.files["golden.npz"]

    def read_manifest(content: bytes) -> None:
        manifest.write_bytes(content)
        open_bundle(bundle.path)

    def read_arrays(content: bytes) -> None:
        files = {**bundle.files, "golden.npz": content}
        Bundle(bundle.path, bundle.manifest, files).arrays("golden.npz", "x", "z")

    fields = words(
        r'null true [] {} "" -1 0 1e999 NaN 1.5 "../x" "/etc" "kind": "shape": "files": { } [ ] '
        r', : "schema_version":2 "name": "version": 99999999999999999999 "\ud800" "2026-01-01"'
    )
    archive = words(
        "PK\x01\x02 PK\x03\x04 PK\x05\x06 x.npy z.npy '<f4' '|O' (4,4,5) True -1 9999999999"
    )
    return {
        "manifest": Prey(
            [manifest.read_bytes()], fields, read_manifest, 60_000, reseal, BundleError
        ),
        "arrays": Prey([golden], archive, read_arrays, 60_000, bytes, BundleError),
    }


def reseal(content: bytes) -> bytes:
    """The digest that the fields have now, where they are fields at all."""
    try:
        fields = json.loads(content)
        del fields["digest"]
        return (
            ManifestContent.model_validate_json(json.dumps(fields))
            .with_digest()
            .model_dump_json()
            .encode()
        )
    except Exception:
        return content


def hunt(name: str, prey: Prey, count: int) -> None:
    mutator = Mutator(prey.wholes, prey.tokens, prey.repair)
    outcome = attack(iter(mutator), count, prey.read, prey.refusal)
    print(f"\n{name}: {count} inputs: {dict(outcome.most_common())}")
    assert outcome.total() == count
    assert len(outcome) > 1  # some were refused, some read


@pytest.mark.parametrize("name", REQUESTS)
def test_a_few_damaged_requests(name: str) -> None:
    hunt(name, REQUESTS[name], FEW)


@pytest.mark.chaos
@pytest.mark.parametrize("name", REQUESTS)
def test_many_damaged_requests(name: str) -> None:
    hunt(name, REQUESTS[name], REQUESTS[name].count)


@pytest.mark.parametrize("name", ["manifest", "arrays"])
def test_a_few_damaged_bundles(tmp_path: Path, name: str) -> None:
    hunt(name, bundle_prey(tmp_path)[name], FEW)


@pytest.mark.chaos
@pytest.mark.parametrize("name", ["manifest", "arrays"])
def test_many_damaged_bundles(tmp_path: Path, name: str) -> None:
    prey = bundle_prey(tmp_path)[name]
    hunt(name, prey, prey.count)
