"""From flags, environment and a config file to one validated object, in that precedence."""

import difflib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from training.config.file import read_file
from training.errors import ConfigError

Command = TypeVar("Command", bound=BaseModel)


def parse(command: type[Command], arguments: Sequence[str], *, name: str) -> Command:
    """An instance of ``command`` from ``arguments``, ``VAE_<NAME>_*`` and the file of --config.

    Raises ConfigError on an unknown flag, variable or key and on a value that does not fit;
    prints the help and raises SystemExit(0) on ``--help``.
    """
    prefix = f"VAE_{name.upper()}_"
    _refuse_unknown_variables(command, prefix)
    settings = _settings(command, name, prefix)
    try:
        return settings(_cli_parse_args=list(arguments))
    except SettingsError as error:
        raise ConfigError(f"{error}".removeprefix("error parsing CLI: ")) from None
    except ValidationError as error:
        raise ConfigError(_explain(error, arguments, prefix)) from None


class ConfigFile(PydanticBaseSettingsSource):
    """The file that an earlier source named as ``config``."""

    def get_field_value(
        self,
        field: FieldInfo,  # noqa: ARG002
        field_name: str,
    ) -> tuple[Any, str, bool]:
        """One field of the file; the base class asks for it."""
        return self().get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        path = self.current_state.get("config")
        return read_file(Path(path), self.settings_cls) if path else {}


def _settings(command: type[Command], name: str, prefix: str) -> type[Command]:
    """``command`` with the sources of its values attached."""

    class Settings(BaseSettings, command):  # type: ignore[misc, valid-type]
        __doc__ = command.__doc__
        model_config = SettingsConfigDict(
            env_prefix=prefix,
            enable_decoding=False,  # "256,128" rather than JSON; the fields know how to read it
            cli_kebab_case=True,
            cli_implicit_flags=True,
            cli_hide_none_type=True,
            cli_prog_name=f"vae-train {name}",
            cli_exit_on_error=False,
            frozen=True,
            extra="forbid",
        )

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, ConfigFile(settings_cls)

    return Settings


def _refuse_unknown_variables(command: type[BaseModel], prefix: str) -> None:
    known = {f"{prefix}{field}".upper() for field in command.model_fields}
    given = [name for name in os.environ if name.upper().startswith(prefix)]
    if unknown := [name for name in given if name.upper() not in known]:
        raise ConfigError(f"unknown environment variable {_suggest(unknown, known)}")


def _suggest(unknown: list[str], known: set[str]) -> str:
    """``latentdim (did you mean latent_dim?)``, for each."""
    near = {name: difflib.get_close_matches(name, known, n=1) for name in unknown}
    return ", ".join(
        f"{name} (did you mean {match[0]}?)" if match else name for name, match in near.items()
    )


def _explain(error: ValidationError, arguments: Sequence[str], prefix: str) -> str:
    """One line for all that is wrong, each with the place it came from and what was given."""
    lines = []
    for fault in error.errors(include_url=False, include_context=False):
        if fault["type"] == "default_factory_not_called":
            continue  # follows from another fault
        message = fault["msg"].removeprefix("Value error, ")
        if not fault["loc"]:
            lines.append(message)
            continue
        field = str(fault["loc"][0])
        if fault["type"] == "missing":
            lines.append(f"{_flag(field)} is required")
            continue
        place = _origin(field, arguments, prefix)
        lines.append(f"{place}: {message}, given {fault['input']!r:.60}")
    return "; ".join(lines)


def _origin(field: str, arguments: Sequence[str], prefix: str) -> str:
    variable = f"{prefix}{field}".upper()
    if any(argument.split("=")[0] == _flag(field) for argument in arguments):
        return _flag(field)
    if variable in os.environ:
        return variable
    return field


def _flag(field: str) -> str:
    return "--" + field.replace("_", "-")
