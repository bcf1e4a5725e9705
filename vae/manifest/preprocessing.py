"""The section ``preprocessing``: the affine map from the data's units to the network's inputs."""

from typing import Annotated, Self

from pydantic import Field, FiniteFloat, model_validator

from vae.manifest.section import Section


class Preprocessing(Section):
    """x ↦ (x − shift) / scale, computed inside the exported graphs.

    Each of ``shift`` and ``scale`` is one number for all elements, or one for each element of a
    flattened row. ``scale`` is positive.
    """

    shift: Annotated[tuple[FiniteFloat, ...], Field(min_length=1)] = (0.0,)
    scale: Annotated[tuple[FiniteFloat, ...], Field(min_length=1)] = (1.0,)

    @model_validator(mode="after")
    def _scale_is_positive(self) -> Self:
        if min(self.scale) <= 0:
            raise ValueError(
                f"scale must be positive; its smallest value is {min(self.scale)}, "
                f"at index {self.scale.index(min(self.scale))}"
            )
        return self
