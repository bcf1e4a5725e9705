"""Every recipe is a config that training takes, and says what it is."""

from pathlib import Path

import pytest

from training.cli import main
from training.commands.recipes import Recipe, recipes
from training.commands.train import TrainCommand
from training.config.parse import parse


@pytest.mark.parametrize("recipe", recipes(), ids=lambda recipe: recipe.name)
def test_a_recipe_is_a_config_with_a_title(recipe: Recipe) -> None:
    assert recipe.path.read_text().startswith("# ")
    assert len(recipe.title) > 10
    parse(TrainCommand, ["--config", str(recipe.path)], name="train")


def test_the_recipes_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes"]) == 0
    printed = capsys.readouterr().out
    assert "digits" in printed
    assert "vae-train train --config" in printed


def test_a_recipe_runs(tmp_path: Path) -> None:
    (digits,) = (recipe for recipe in recipes() if recipe.name == "digits")
    places = [f"--run={tmp_path / 'run'}", f"--models={tmp_path / 'models'}"]
    short = ["--epochs=1", "--kl-anneal-epochs=0", "--importance-samples=2"]
    assert main(["train", "--config", str(digits.path), *places, *short]) == 0
    assert (tmp_path / "models" / "digits-recipe" / "1" / "manifest.json").exists()
