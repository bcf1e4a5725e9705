"""What commands have in common."""

from pathlib import Path

from pydantic import BaseModel, Field


class WithFile(BaseModel):
    """A command whose options may come from a file."""

    config: Path | None = Field(
        None, description="YAML or TOML file of these options; flags and environment go before it"
    )
