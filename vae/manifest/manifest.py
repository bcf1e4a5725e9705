"""``manifest.json`` of a bundle: the model, what training measured, the files and their digests."""

import hashlib
import json
from typing import Annotated, Final, Literal, Self, get_args

from pydantic import AwareDatetime, FiniteFloat, PositiveInt, StringConstraints, model_validator

from vae.manifest.model import ModelSpec
from vae.manifest.section import Section

SCHEMA_VERSION: Final = 1

ModelName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
FileName = Literal[
    "checkpoint.safetensors",
    "encoder.onnx",
    "decoder.onnx",
    "scorer.onnx",
    "posterior.onnx",
    "prior.onnx",
    "golden.npz",
    "calibration.npz",
    "README.md",
    "samples.png",
    "reconstructions.png",
]
MODEL_CARD_FILES: Final[frozenset[FileName]] = frozenset(
    ("README.md", "samples.png", "reconstructions.png")
)
LATENT_GRAPH_FILES: Final[frozenset[FileName]] = frozenset(("posterior.onnx", "prior.onnx"))
REQUIRED_FILES: Final[frozenset[FileName]] = (
    frozenset(get_args(FileName)) - MODEL_CARD_FILES - LATENT_GRAPH_FILES
)


class Calibration(Section):
    """Summary of ``calibration.npz``, which holds the held-out rows' ELBO in nats, sorted."""

    rows: PositiveInt
    mean: FiniteFloat
    std: FiniteFloat


class ManifestContent(ModelSpec):
    """A manifest without its digest.

    - ``created`` has a time zone.
    - ``metrics`` are those of the evaluation, by name.
    - ``quantization``: encoder, decoder and scorer compute with integers; the checkpoint does not.
    - ``versions`` are those of the programs that wrote the bundle.
    - ``files`` maps each file to its SHA-256.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    name: ModelName
    version: PositiveInt
    created: AwareDatetime
    metrics: dict[str, FiniteFloat]
    calibration: Calibration
    quantization: Literal["int8"] | None = None
    versions: dict[str, str]
    files: dict[FileName, Sha256]

    @model_validator(mode="after")
    def _files_are_complete(self) -> Self:
        required = REQUIRED_FILES | {graph.file for graph in self.graphs}
        if missing := required - self.files.keys():
            raise ValueError(
                f"files lacks {', '.join(sorted(missing))}, which a bundle of this model must have"
            )
        return self

    def with_digest(self) -> "Manifest":
        """The complete manifest, with the SHA-256 of its own content."""
        # Validating the dump marks all fields as set, defaults too, so that all are in the digest.
        complete = type(self).model_validate(self.model_dump())
        return Manifest(**dict(complete), digest=_digest(complete))


class Manifest(ManifestContent):
    """``manifest.json`` of a bundle.

    ``digest`` is the SHA-256 of all other fields that were written, so that a damaged manifest is
    detected like a damaged file. A manifest that was written before a field with a default existed
    stays valid, because the digest covers only the fields in the file.
    """

    digest: Sha256

    @model_validator(mode="after")
    def _digest_matches(self) -> Self:
        if (expected := _digest(self)) != self.digest:
            raise ValueError(f"digest is {self.digest}, but that of the content is {expected}")
        return self


def _digest(content: ManifestContent) -> str:
    """The SHA-256 of the canonical JSON: sorted keys, no whitespace, only fields that were set."""
    fields = content.model_dump(mode="json", exclude={"digest"}, exclude_unset=True)
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
