"""The section ``condition`` of a conditional model: what c of p(x|z, c) is."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from vae.manifest.preprocessing import Preprocessing
from vae.manifest.section import Section


class ClassCondition(Section):
    """c is one of the classes ``names``, as a one-hot vector in their order."""

    kind: Literal["classes"] = "classes"
    names: Annotated[tuple[str, ...], Field(min_length=2)]

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        repeated = sorted({name for name in self.names if self.names.count(name) > 1})
        if repeated:
            raise ValueError(f"the names of classes must be distinct; {repeated} are repeated")
        return self


class VectorCondition(Section):
    """c is a vector of numbers in the units of the data, one for each of ``names``."""

    kind: Literal["vector"] = "vector"
    names: Annotated[tuple[str, ...], Field(min_length=1)]
    preprocessing: Preprocessing = Preprocessing()

    @model_validator(mode="after")
    def _preprocessing_fits(self) -> Self:
        count = len(self.names)
        for field in ("shift", "scale"):
            given = len(getattr(self.preprocessing, field))
            if given not in (1, count):
                raise ValueError(
                    f"preprocessing.{field} of the condition has {given} values; "
                    f"expected 1 or {count}, one for each of its names"
                )
        return self


Condition = Annotated[ClassCondition | VectorCondition, Field(discriminator="kind")]
