"""``recipes``: list the config files that come with the package."""

from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.table import Table

FOLDER = Path(__file__).parents[1] / "recipes"


class RecipesCommand(BaseModel):
    """List the recipes: config files of reproducible runs."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Recipe(NamedTuple):
    """A config file with the title in its first line, which is a comment."""

    path: Path
    title: str

    @property
    def name(self) -> str:
        """The name in ``make reproduce-<name>``."""
        return self.path.stem


def recipes(folder: Path = FOLDER) -> list[Recipe]:
    """All recipes, sorted by name."""
    return [_read(path) for path in sorted(folder.glob("*.yaml"))]


def run_recipes(command: RecipesCommand, console: Console) -> None:  # noqa: ARG001
    """Print the recipes and the command that runs one."""
    table = Table("recipe", "what it trains", box=None, padding=(0, 2, 0, 0))
    for recipe in recipes():
        table.add_row(recipe.name, recipe.title)
    console.print(table)
    console.print(f"\nvae-train train --config {FOLDER}/<recipe>.yaml", soft_wrap=True)


def _read(path: Path) -> Recipe:
    with path.open(encoding="utf-8") as file:
        return Recipe(path, file.readline().removeprefix("#").strip())
