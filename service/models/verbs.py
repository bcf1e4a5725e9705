"""The five verbs: what each reads and writes. One table for every protocol."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from service.arrays import Arrays
from service.models.model import Model
from service.models.options import (
    DecodeOptions,
    Options,
    PosteriorOptions,
    SampleOptions,
    ScoreOptions,
)


@dataclass(frozen=True, eq=False)
class Verb:
    """A verb of the HTTP API.

    ``rows`` names the array that the request holds, or None; ``outputs`` names those of the reply.
    """

    name: str
    summary: str
    rows: Literal["inputs", "latents"] | None
    options: type[Options]
    outputs: tuple[str, ...]
    call: Callable[[Model, Any, Any], Awaitable[Arrays]]


VERBS: Final = (
    Verb(
        "encode",
        "The posterior q(z|x) of each row",
        "inputs",
        PosteriorOptions,
        ("mu", "logvar", "z"),
        Model.encode,
    ),
    Verb(
        "decode",
        "The mean of p(x|z) for each latent",
        "latents",
        DecodeOptions,
        ("outputs",),
        Model.decode,
    ),
    Verb(
        "sample",
        "New rows from the prior",
        None,
        SampleOptions,
        ("outputs", "latents"),
        Model.sample,
    ),
    Verb(
        "reconstruct",
        "Each row through the encoder and the decoder",
        "inputs",
        PosteriorOptions,
        ("outputs",),
        Model.reconstruct,
    ),
    Verb(
        "score",
        "How well the model explains each row",
        "inputs",
        ScoreOptions,
        ("elbo", "reconstruction", "kl", "p_value"),
        Model.score,
    ),
)
