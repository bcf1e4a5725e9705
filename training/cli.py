"""The command line: the table of commands, and the exit status of each error."""

import sys
from collections.abc import Callable, Sequence

from pydantic import BaseModel
from rich.console import Console

from training.commands.evaluate import EvaluateCommand, run_evaluate
from training.commands.exact import ExactCommand, run_exact
from training.commands.export import ExportCommand, run_export
from training.commands.recipes import RecipesCommand, run_recipes
from training.commands.train import TrainCommand, run_train
from training.config.parse import parse
from training.data.dataset import DataError
from training.errors import ConfigError, TrainingError
from vae.bundle import BundleError

USAGE = """\
usage: vae-train COMMAND [OPTIONS]

  train      train a VAE, evaluate it on held-out rows and write a bundle
  evaluate   evaluate a run on its held-out rows, or a run or a bundle on other data
  export     write the model of a run as the next version of its bundle
  exact      compare a linear VAE with its optimum in closed form
  recipes    list the config files that come with this package

Run "vae-train COMMAND --help" for the options of a command.
"""

COMMANDS: dict[str, tuple[type[BaseModel], Callable[..., None]]] = {
    "train": (TrainCommand, run_train),
    "evaluate": (EvaluateCommand, run_evaluate),
    "export": (ExportCommand, run_export),
    "exact": (ExactCommand, run_exact),
    "recipes": (RecipesCommand, run_recipes),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status: 2 for invalid options, 1 for a failed command."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    name, options = (words[0], words[1:]) if words else ("", [])
    if name in ("-h", "--help"):
        sys.stdout.write(USAGE)
        return 0
    if name not in COMMANDS:
        return _fail(f"{name or 'no command'}: expected {', '.join(COMMANDS)}; see --help", 2)
    schema, command = COMMANDS[name]
    try:
        command(parse(schema, options, name=name), Console(highlight=False))
    except ConfigError as error:
        return _fail(str(error), 2)
    except (TrainingError, DataError, BundleError) as error:
        return _fail(str(error), 1)
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        return _fail(f"{name}{error.strerror or error}", 1)
    except KeyboardInterrupt:
        return _fail("interrupted; --resume continues from the last checkpoint", 130)
    return 0


def _fail(message: str, status: int) -> int:
    sys.stderr.write(f"vae-train: {message}\n")
    return status
