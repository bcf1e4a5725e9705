"""Where an option's value comes from, and what is said when it does not fit."""

from pathlib import Path

import pytest

from training.commands.evaluate import EvaluateCommand
from training.commands.export import ExportCommand
from training.commands.train import TrainCommand
from training.config.parse import parse
from training.errors import ConfigError


def train(*arguments: str) -> TrainCommand:
    return parse(TrainCommand, arguments, name="train")


def test_flags_go_before_environment_before_file_before_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("data: digits\nlatent_dim: 2\nbatch_size: 2\nepochs: 2\n")
    monkeypatch.setenv("VAE_TRAIN_LATENT_DIM", "3")
    monkeypatch.setenv("VAE_TRAIN_BATCH_SIZE", "3")
    command = train("--config", str(file), "--latent-dim", "4")
    assert (command.latent_dim, command.batch_size, command.epochs) == (4, 3, 2)
    assert command.seed == 0


def test_the_environment_can_name_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "run.toml"
    file.write_text('data = "digits"\nhidden = [5, 6]\n')
    monkeypatch.setenv("VAE_TRAIN_CONFIG", str(file))
    assert train().hidden == (5, 6)


@pytest.mark.parametrize(
    ("flag", "value", "field", "expected"),
    [
        ("--hidden", "256,128", "hidden", (256, 128)),
        ("--channels", "16", "channels", (16,)),
        ("--image-size", "28x32", "image_size", (28, 32)),
        ("--image-size", "28,32", "image_size", (28, 32)),
        ("--columns", "max,min", "columns", ("max", "min")),
    ],
)
def test_lists_are_written_with_commas_in_flags_and_environment(
    flag: str, value: str, field: str, expected: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert getattr(train("--data", "digits", flag, value), field) == expected
    monkeypatch.setenv(f"VAE_TRAIN_{field.upper()}", value)
    assert getattr(train("--data", "digits"), field) == expected


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.yaml", "data: digits\nlatentdim: 3\n"), ("a.toml", 'data = "digits"\nlatentdim = 3\n')],
)
def test_unknown_keys_of_a_file_are_refused_by_name(tmp_path: Path, name: str, text: str) -> None:
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(ConfigError, match=rf"{name}: unknown latentdim \(did you mean latent_dim"):
        train("--config", str(file))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.yaml", "a: [1", "is not YAML"),
        ("a.toml", "a = ", "is not TOML"),
        ("a.yaml", "- 1\n", "must contain keys and values"),
        ("a.yaml", "", "must contain keys and values"),
        ("missing.yaml", None, "cannot be read: No such file"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, name: str, text: str | None, message: str
) -> None:
    file = tmp_path / name
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigError, match=f"{name} {message}"):
        train("--data", "digits", "--config", str(file))


def test_an_unknown_flag_and_an_unknown_variable_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ConfigError, match="--latentdim"):
        train("--data", "digits", "--latentdim", "3")
    monkeypatch.setenv("VAE_TRAIN_LATENTDIM", "3")
    with pytest.raises(ConfigError, match=r"VAE_TRAIN_LATENTDIM .*VAE_TRAIN_LATENT_DIM"):
        train("--data", "digits")


def test_a_wrong_value_is_named_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=r"^--latent-dim: .*greater than 0, given '0'$"):
        train("--data", "digits", "--latent-dim", "0")
    file = tmp_path / "a.yaml"
    file.write_text("data: digits\nseed: -1\n")
    with pytest.raises(ConfigError, match=r"^seed: .*given -1$"):
        train("--config", str(file))
    monkeypatch.setenv("VAE_TRAIN_BETA", "much")
    with pytest.raises(ConfigError, match=r"^VAE_TRAIN_BETA: .*given 'much'$"):
        train("--data", "digits")


def test_data_is_required_and_nothing_that_follows_from_it_is_reported() -> None:
    with pytest.raises(ConfigError, match=r"^--data is required$"):
        train()


@pytest.mark.parametrize("command", [TrainCommand, EvaluateCommand, ExportCommand])
def test_help_documents_every_option(
    command: type[TrainCommand], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        parse(command, ["--help"], name=command.__name__.removesuffix("Command").lower())
    assert stop.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for name, field in command.model_fields.items():
        assert f"--{name.replace('_', '-')}" in text
        assert field.description
        assert field.description.split()[0] in text
    assert text.count("(default") + text.count("(required)") == len(command.model_fields)
