"""The part of a request that is not an array, one schema a verb."""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from service.noise import MAX_SEED

Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
SEED_DESCRIPTION: Final = "the noise of row i depends on the seed and i alone; null: random"


class Options(BaseModel):
    """Closed, so that a misspelt option is found and not ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PosteriorOptions(Options):
    """Of /encode and /reconstruct."""

    sample: bool = Field(False, description="draw z from q(z|x) instead of taking its mean")
    seed: Seed | None = Field(None, description=SEED_DESCRIPTION)


class DecodeOptions(Options):
    """Of /decode, which has none."""


class SampleOptions(Options):
    """Of /sample."""

    n: Annotated[int, Field(ge=1)] = Field(1, description="how many to draw")
    seed: Seed | None = Field(None, description=SEED_DESCRIPTION)
    temperature: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] = Field(
        1.0, description="factor on the standard deviation of the prior"
    )


class ScoreOptions(Options):
    """Of /score."""

    samples: Annotated[int, Field(ge=1)] = Field(
        1, description="draws of z for each row, whose log p(x|z) is averaged"
    )
    seed: Seed | None = Field(0, description=SEED_DESCRIPTION)
