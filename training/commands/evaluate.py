"""``evaluate``: evaluate a model on rows that it was not trained on."""

from pathlib import Path
from typing import Self

import torch
from pydantic import ConfigDict, Field, NonNegativeInt, PositiveInt, model_validator
from rich.console import Console
from rich.table import Table

from training.config.file import WithConfigFile
from training.config.types import Device
from training.data.binarise import binarise_dataset
from training.data.dataset import Dataset
from training.data.load import load_dataset
from training.data.prepare import load_data
from training.data.sharded import ShardedDataset
from training.errors import ConfigError
from training.evaluation.evaluate import Evaluation, evaluate_dataset
from training.evaluation.image_sets import make_image_sets, supports_sharpness
from training.evaluation.sharpness import measure_sharpness, sharpness_table
from training.loop.run_directory import RunDirectory
from training.loop.trained_model import load_run_model, load_trained_model
from training.model.build import channels_last
from training.model.bundle import load_bundle_model
from training.system.device import open_device
from training.system.distributed import ProcessGroup, join_process_group
from training.system.files import write_atomically
from vae.manifest import ModelSpec, VectorCondition
from vae.networks import VAE

IMAGE_COLUMNS = 12
"""Images per line in the PNG of ``--image``."""


class EvaluateCommand(WithConfigFile):
    """Evaluate a run on its held-out rows, or a run or a bundle on other data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: Path | None = Field(None, description="directory of a run")
    bundle: Path | None = Field(
        None, description="directory of a version of a bundle; requires data"
    )
    data: str | None = Field(
        None, description="data to evaluate on, all rows; default: the held-out rows of the run"
    )
    binarise: bool = Field(False, description="binarise the gray values of data at random, once")
    seed: NonNegativeInt = Field(0, description="seed of the noise and of binarise")
    samples: PositiveInt = Field(100, description="draws of z per row")
    image: Path | None = Field(
        None,
        description="PNG file to write: data, reconstructions and samples of a model of images",
    )
    device: Device = Field("cpu", description="cpu, cuda or cuda:<number>")

    @model_validator(mode="after")
    def _one_model_and_its_data(self) -> Self:
        if (self.run is None) == (self.bundle is None):
            raise ValueError("run or bundle: exactly one is required")
        if self.bundle is not None and self.data is None:
            raise ValueError("data: is required with bundle")
        if self.data is None and (self.binarise or self.seed):
            raise ValueError("binarise and seed: have an effect only with data")
        return self


def run_evaluate(command: EvaluateCommand, console: Console) -> None:
    """Evaluate and print a table.

    The evaluation of a run on its own held-out rows is stored in its ``evaluation.json``.
    """
    device = open_device(command.device)
    with join_process_group(device) as group:
        vae, rows, seed = _model_and_rows(command, device, group)
        _check_image(command, vae.spec)
        evaluation = evaluate_dataset(vae, rows, command.samples, seed, device, group)
        if group.is_main:
            if command.run and not command.data:
                RunDirectory(command.run).store_evaluation(evaluation.as_json())
            console.print(evaluation_table(evaluation))
            if images := make_image_sets(vae, rows, seed):
                console.print(sharpness_table(measure_sharpness(images)))
                if command.image:
                    write_atomically(command.image, images.to_png(IMAGE_COLUMNS))


def _model_and_rows(
    command: EvaluateCommand, device: torch.device, group: ProcessGroup
) -> tuple[VAE, Dataset, int]:
    """The model, the rows, and the seed of the noise."""
    if command.bundle:
        vae = channels_last(load_bundle_model(command.bundle)).to(device).eval()
        return vae, _rows_for(vae, command), command.seed
    if command.run is None:
        raise AssertionError("the command has neither run nor bundle. This is a bug.")
    run = RunDirectory(command.run)
    if command.data:
        vae = channels_last(load_run_model(run, group)[0]).to(device).eval()
        return vae, _rows_for(vae, command), command.seed
    config = run.config()
    data, held_out = load_data(config)
    return load_trained_model(run, data, device, group)[0], held_out, config.seed


def _rows_for(vae: VAE, command: EvaluateCommand) -> Dataset:
    """The rows of ``--data``. Raises ConfigError if their shape is not that of the model."""
    source = command.data or ""
    is_table = Path(source).suffix.lower() in (".csv", ".parquet")
    condition = vae.spec.condition
    condition_columns = condition.names if isinstance(condition, VectorCondition) else None
    rows = (
        load_dataset(source, columns=vae.spec.input.columns, condition_columns=condition_columns)
        if is_table
        else load_dataset(source)
    )
    if isinstance(rows, ShardedDataset):
        raise ConfigError(f"data: evaluate needs rows in memory; name one file of {source}")
    if rows.input.shape != vae.spec.input.shape:
        raise ConfigError(
            f"data: rows of {source} have shape {rows.input.shape}, but the model needs "
            f"{vae.spec.input.shape}"
        )
    return binarise_dataset(rows, command.seed) if command.binarise else rows


def _check_image(command: EvaluateCommand, spec: ModelSpec) -> None:
    if command.image and not supports_sharpness(spec.input):
        raise ConfigError(
            f"image: needs a model of images of 3×3 or more; its rows have shape {spec.input.shape}"
        )


def evaluation_table(evaluation: Evaluation) -> Table:
    """A table for the terminal."""
    table = Table(title=f"{evaluation.rows:,} rows, {evaluation.samples} draws of z each")
    table.add_column("")
    table.add_column("nats per row", justify="right")
    for name in ("elbo", "reconstruction", "kl", "importance_weighted"):
        table.add_row(name.replace("_", " "), f"{getattr(evaluation, name):.3f}")
    table.add_section()
    table.add_row("bits per dimension", f"{evaluation.bits_per_dimension:.4f}")
    table.add_row("active units", f"{evaluation.active_units} of {evaluation.latents}")
    for name, nats in evaluation.terms.items():
        table.add_row(name.replace("_", " "), f"{nats:.3f}")
    for latent, kl in evaluation.kl_by_latent().items():
        table.add_row(f"kl of {latent}", f"{kl:.3f}")
    return table
