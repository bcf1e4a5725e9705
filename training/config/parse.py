"""Parse flags, environment variables and a config file, in that order of precedence."""

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

from training.config.file import read_file, suggest_names
from training.errors import ConfigError

Command = TypeVar("Command", bound=BaseModel)


def parse(command: type[Command], arguments: Sequence[str], *, name: str) -> Command:
    """An instance of ``command`` from ``arguments``, ``VAE_<NAME>_*`` and the file of --config.

    Raises ConfigError for an unknown flag, variable or key and for an invalid value. On ``--help``
    prints the help and raises SystemExit(0).
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
    """Reads the file that flags or environment name as ``config``."""

    def get_field_value(
        self,
        field: FieldInfo,  # noqa: ARG002
        field_name: str,
    ) -> tuple[Any, str, bool]:
        """One field of the file, as the base class requires."""
        return self().get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        path = self.current_state.get("config")
        return read_file(Path(path), self.settings_cls) if path else {}


def _settings(command: type[Command], name: str, prefix: str) -> type[Command]:
    """``command`` with the sources of its values."""

    class Settings(BaseSettings, command):  # type: ignore[misc, valid-type]
        __doc__ = command.__doc__
        model_config = SettingsConfigDict(
            env_prefix=prefix,
            enable_decoding=False,  # values are "256,128", not JSON; the fields parse them
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
        raise ConfigError(f"unknown environment variable {suggest_names(unknown, known)}")


def _explain(error: ValidationError, arguments: Sequence[str], prefix: str) -> str:
    """All errors in one line, each with the source of the value and the value."""
    lines = []
    for detail in error.errors(include_url=False, include_context=False):
        if detail["type"] == "default_factory_not_called":
            continue  # a consequence of another error
        message = detail["msg"].removeprefix("Value error, ")
        if not detail["loc"]:
            lines.append(message)
            continue
        field = str(detail["loc"][0])
        if detail["type"] == "missing":
            lines.append(f"{_flag(field)} is required")
            continue
        source = _source(field, arguments, prefix)
        lines.append(f"{source}: {message}, given {detail['input']!r:.60}")
    return "; ".join(lines)


def _source(field: str, arguments: Sequence[str], prefix: str) -> str:
    variable = f"{prefix}{field}".upper()
    if any(argument.split("=")[0] == _flag(field) for argument in arguments):
        return _flag(field)
    if variable in os.environ:
        return variable
    return field


def _flag(field: str) -> str:
    return "--" + field.replace("_", "-")
