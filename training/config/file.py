"""What commands have in common."""

import tomllib
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, Field

from training.config.parse import _suggest
from training.errors import ConfigError


class WithFile(BaseModel):
    """A command whose options may come from a file."""

    config: Path | None = Field(
        None, description="YAML or TOML file of these options; flags and environment go before it"
    )


def read_file(path: Path, command: type[BaseModel]) -> dict[str, Any]:
    """The keys and values of a YAML or TOML file. Raises ConfigError, naming the file."""
    try:
        text = path.expanduser().read_text("utf-8")
        content = tomllib.loads(text) if path.suffix == ".toml" else yaml.safe_load(text)
    except OSError as error:
        raise ConfigError(f"config file {path} cannot be read: {error.strerror}") from None
    except (ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"config file {path} is not {_format(path)}: {reason}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"config file {path} must be keys and values, not {content!r:.40}")
    known = command.model_fields.keys() - {"config"}
    if unknown := [str(key) for key in content if key not in known]:
        raise ConfigError(f"config file {path}: unknown {_suggest(unknown, known)}")
    return content


def _format(path: Path) -> str:
    return "TOML" if path.suffix == ".toml" else "YAML"
