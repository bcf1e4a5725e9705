"""``evaluate``: the figures of a model, on rows that it was not trained on."""

from pathlib import Path
from typing import Self

import torch
from pydantic import ConfigDict, Field, NonNegativeInt, PositiveInt, model_validator
from rich.console import Console
from rich.table import Table

from training.config.file import WithFile
from training.config.types import Device
from training.data.binarise import binarised
from training.data.dataset import Dataset
from training.data.load import load
from training.data.prepare import load_data
from training.data.sharded import Sharded
from training.errors import ConfigError
from training.evaluation import sharpness
from training.evaluation.evaluate import Evaluation, evaluated
from training.loop.run_directory import Run
from training.loop.trained_model import of_run, store, trained
from training.model.build import fast
from training.model.bundle import of_bundle
from training.system.device import open_device
from training.system.distributed import Group, join
from training.system.files import write_atomically
from vae.manifest import ModelSpec, Vector
from vae.networks import VAE

PICTURE_COLUMNS = 12
"""Pictures of a kind that ``--picture`` puts side by side."""


class EvaluateCommand(WithFile):
    """Evaluate a run's model on its held-out rows, or a run's or a bundle's on other data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: Path | None = Field(None, description="directory of the run")
    bundle: Path | None = Field(None, description="directory of a version of a bundle; needs data")
    data: str | None = Field(
        None, description="data to evaluate on, all of its rows; without it those held out"
    )
    binarise: bool = Field(False, description="draw the data's gray values as black or white, once")
    seed: NonNegativeInt = Field(0, description="decides the noise and how data is binarised")
    samples: PositiveInt = Field(100, description="draws of z a row")
    picture: Path | None = Field(
        None, description="PNG to write: data, reconstructions and samples of a model of images"
    )
    device: Device = Field("cpu", description="cpu, cuda or cuda:<number>")

    @model_validator(mode="after")
    def _one_model_and_its_data(self) -> Self:
        if (self.run is None) == (self.bundle is None):
            raise ValueError("run or bundle: give one of the two")
        if self.bundle is not None and self.data is None:
            raise ValueError("data: a bundle has none of its own")
        if self.data is None and (self.binarise or self.seed):
            raise ValueError("binarise and seed: are for data; a run's own rows are as it had them")
        return self


def run_evaluate(command: EvaluateCommand, console: Console) -> None:
    """Print the figures of a run's checkpoint or of a bundle.

    Those of a run on its own held-out rows are stored as its ``evaluation.json``.
    """
    device = open_device(command.device)
    with join(device) as group:
        vae, rows, seed = _subject(command, device, group)
        _check_picture(command, vae.spec)
        evaluation = evaluated(vae, rows, command.samples, seed, device, group)
        if group.main:
            if command.run and not command.data:
                store(Run(command.run), evaluation)
            console.print(table(evaluation))
            if gallery := sharpness.look(vae, rows, seed):
                _show_pictures(command, gallery, console)


def _subject(
    command: EvaluateCommand, device: torch.device, group: Group
) -> tuple[VAE, Dataset, int]:
    """The model to evaluate, the rows, and the seed of the noise."""
    if command.bundle:
        vae = fast(of_bundle(command.bundle)).to(device).eval()
        return vae, _rows_for(vae, command), command.seed
    if command.run is None:
        raise AssertionError("the command has neither run nor bundle. This is a bug.")
    run = Run(command.run)
    if command.data:
        vae = fast(of_run(run, group)[0]).to(device).eval()
        return vae, _rows_for(vae, command), command.seed
    config = run.config()
    data, held_out = load_data(config)
    return trained(run, data, device, group)[0], held_out, config.seed


def _rows_for(vae: VAE, command: EvaluateCommand) -> Dataset:
    """The data of the command. Raises ConfigError when its rows are not the model's."""
    source = command.data or ""
    is_table = Path(source).suffix.lower() in (".csv", ".parquet")
    told = vae.spec.condition.names if isinstance(vae.spec.condition, Vector) else None
    rows = (
        load(source, columns=vae.spec.input.columns, condition_columns=told)
        if is_table
        else load(source)
    )
    if isinstance(rows, Sharded):
        raise ConfigError(f"data: evaluation needs rows in memory; name one file of {source}")
    if rows.input.shape != vae.spec.input.shape:
        raise ConfigError(
            f"data: rows of {source} are {rows.input.shape}, those of the model "
            f"{vae.spec.input.shape}"
        )
    return binarised(rows, command.seed) if command.binarise else rows


def _check_picture(command: EvaluateCommand, spec: ModelSpec) -> None:
    if command.picture and not sharpness.visible(spec.input):
        raise ConfigError(
            f"picture: the model is of rows of {spec.input.shape}, not of images of 3×3 or more"
        )


def _show_pictures(command: EvaluateCommand, gallery: sharpness.Gallery, console: Console) -> None:
    console.print(sharpness.table(sharpness.measure(gallery)))
    if command.picture:
        write_atomically(command.picture, gallery.strip(PICTURE_COLUMNS))


def table(evaluation: Evaluation) -> Table:
    """The figures, for a terminal."""
    shown = Table(title=f"{evaluation.rows:,} rows, {evaluation.samples} draws of z each")
    shown.add_column("")
    shown.add_column("nats a row", justify="right")
    for name in ("elbo", "reconstruction", "kl", "importance_weighted"):
        shown.add_row(name.replace("_", " "), f"{getattr(evaluation, name):.3f}")
    shown.add_section()
    shown.add_row("bits per dimension", f"{evaluation.bits_per_dimension:.4f}")
    shown.add_row("active units", f"{evaluation.active_units} of {evaluation.latents}")
    for name, nats in evaluation.terms.items():
        shown.add_row(name.replace("_", " "), f"{nats:.3f}")
    for place, kl in evaluation.kl_by_place().items():
        shown.add_row(f"kl of {place}", f"{kl:.3f}")
    return shown
