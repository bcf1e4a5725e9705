"""Options from a YAML or TOML file."""

import difflib
import tomllib
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, Field

from training.errors import ConfigError


class WithConfigFile(BaseModel):
    """A command that accepts ``--config FILE``."""

    config: Path | None = Field(
        None,
        description="YAML or TOML file with options; flags and environment override it",
    )


def read_file(path: Path, command: type[BaseModel]) -> dict[str, Any]:
    """The options in a YAML or TOML file. Raises ConfigError with the file name."""
    try:
        text = path.expanduser().read_text("utf-8")
        content = tomllib.loads(text) if path.suffix == ".toml" else yaml.safe_load(text)
    except OSError as error:
        raise ConfigError(f"config file {path} cannot be read: {error.strerror}") from None
    except (ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"config file {path} is not {_format(path)}: {reason}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"config file {path} must contain keys and values, not {content!r:.40}")
    known = command.model_fields.keys() - {"config"}
    if unknown := [str(key) for key in content if key not in known]:
        raise ConfigError(f"config file {path}: unknown {suggest_names(unknown, known)}")
    return content


def _format(path: Path) -> str:
    return "TOML" if path.suffix == ".toml" else "YAML"


def suggest_names(unknown: list[str], known: set[str]) -> str:
    """The unknown names with the nearest known one: ``latentdim (did you mean latent_dim?)``."""
    near = {name: difflib.get_close_matches(name, known, n=1) for name in unknown}
    return ", ".join(
        f"{name} (did you mean {match[0]}?)" if match else name for name, match in near.items()
    )
