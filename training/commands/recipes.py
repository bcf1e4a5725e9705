"""``recipes``: config files of runs that are worth repeating, which come with the package."""

from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.table import Table

FOLDER = Path(__file__).parents[1] / "recipes"


class RecipesCommand(BaseModel):
    """List the recipes: configs of runs that are worth repeating."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Recipe(NamedTuple):
    """A config file and what its first line, a comment, says of it."""

    path: Path
    title: str

    @property
    def name(self) -> str:
        """As in ``make reproduce-<name>``."""
        return self.path.stem


def recipes(folder: Path = FOLDER) -> list[Recipe]:
    """All recipes by name."""
    return [_read(path) for path in sorted(folder.glob("*.yaml"))]


def run_recipes(command: RecipesCommand, console: Console) -> None:  # noqa: ARG001
    """Print the recipes and how to run one."""
    shown = Table("recipe", "what it trains", box=None, padding=(0, 2, 0, 0))
    for recipe in recipes():
        shown.add_row(recipe.name, recipe.title)
    console.print(shown)
    console.print(f"\nvae-train train --config {FOLDER}/<recipe>.yaml", soft_wrap=True)


def _read(path: Path) -> Recipe:
    with path.open(encoding="utf-8") as file:
        return Recipe(path, file.readline().removeprefix("#").strip())
