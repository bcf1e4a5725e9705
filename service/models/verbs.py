"""The five verbs: what each reads and writes. One table for every protocol."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, Literal

from service.arrays import Arrays, Float32
from service.batching.call import Call
from service.errors import InvalidInput
from service.models.model import Model
from service.models.options import (
    DecodeOptions,
    Options,
    PosteriorOptions,
    SampleOptions,
    ScoreOptions,
)
from vae.manifest import Manifest


@dataclass(frozen=True, eq=False)
class Verb:
    """A verb of the HTTP API.

    ``rows`` names the array that the request holds, or None; ``outputs`` names those of the reply.
    ``values`` is how many values are computed for a number of rows.
    """

    name: str
    summary: str
    rows: Literal["inputs", "latents"] | None
    options: type[Options]
    outputs: tuple[str, ...]
    call: Callable[[Model, Any, Any], Coroutine[Call, None, Arrays]]
    values: Callable[[Manifest, int, Any], int]

    def size(self, model: Model, rows: Float32 | None, options: Any) -> int:
        """Bytes of the values that a request has computed.

        Raises InvalidInput if they exceed the limit, before any memory is spent on them.
        """
        count = options.n if rows is None else len(rows)
        values = self.values(model.manifest, count, options)
        if values > model.max_values:
            raise InvalidInput(
                f"/{self.name} would compute too many values for this request",
                expected=f"at most {model.max_values} values, such as "
                f"{model.max_values * count // values} rows",
                given=f"{values} values",
            )
        return 4 * values


def _encoded(manifest: Manifest, rows: int, options: PosteriorOptions) -> int:
    del options
    return 3 * rows * manifest.latent_dim


def _decoded(manifest: Manifest, rows: int, options: Options) -> int:
    del options
    return rows * (manifest.input.size + manifest.latent_dim)


def _scored(manifest: Manifest, rows: int, options: ScoreOptions) -> int:
    return rows * options.samples * (manifest.input.size + 4 * manifest.latent_dim)


VERBS: Final = (
    Verb(
        "encode",
        "The posterior q(z|x) of each row",
        "inputs",
        PosteriorOptions,
        ("mu", "logvar", "z"),
        Model.encode,
        _encoded,
    ),
    Verb(
        "decode",
        "The mean of p(x|z) for each latent",
        "latents",
        DecodeOptions,
        ("outputs",),
        Model.decode,
        _decoded,
    ),
    Verb(
        "sample",
        "New rows from the prior",
        None,
        SampleOptions,
        ("outputs", "latents"),
        Model.sample,
        _decoded,
    ),
    Verb(
        "reconstruct",
        "Each row through the encoder and the decoder",
        "inputs",
        PosteriorOptions,
        ("outputs",),
        Model.reconstruct,
        _decoded,
    ),
    Verb(
        "score",
        "How well the model explains each row",
        "inputs",
        ScoreOptions,
        ("elbo", "reconstruction", "kl", "p_value"),
        Model.score,
        _scored,
    ),
)
