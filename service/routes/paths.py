"""The parameters of paths."""

from typing import Annotated

from fastapi import Path

ModelPath = Annotated[str, Path(description="a name from /models")]
VersionPath = Annotated[int, Path(ge=1, description="a version from /models/{model}")]
