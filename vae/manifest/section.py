"""The base class of all sections."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of the manifest: immutable, and unknown fields are rejected.

    Constructing or parsing a section raises ``pydantic.ValidationError`` if a value is invalid; the
    error gives the location of each value in the manifest.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
