"""``export``: write the model of a run as the next version of its bundle."""

from pathlib import Path

from pydantic import ConfigDict, Field
from rich.console import Console

from training.config.file import WithConfigFile
from training.config.types import Device
from training.data.prepare import load_data
from training.evaluation.evaluate import evaluate_dataset
from training.export.publish import publish
from training.export.quantize import check_quantizable
from training.loop.run_directory import RunDirectory
from training.loop.trained_model import load_trained_model
from training.system.device import open_device
from training.system.distributed import join_process_group


class ExportCommand(WithConfigFile):
    """Evaluate the model of a run and write it as the next version of its bundle."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: Path = Field(description="directory of the run")
    models: Path | None = Field(
        None, description="directory to write the bundle to; default: that of the run"
    )
    quantize: bool | None = Field(None, description="write int8 graphs; default: as in the run")
    device: Device = Field("cpu", description="cpu, cuda or cuda:<number>")


def run_export(command: ExportCommand, console: Console) -> None:
    """Evaluate the run's best weights and write a bundle."""
    device = open_device(command.device)
    with join_process_group(device) as group:
        run = RunDirectory(command.run)
        config = run.config()
        overrides = {"models": command.models, "quantize": command.quantize}
        config = config.model_copy(update={k: v for k, v in overrides.items() if v is not None})
        data, held_out = load_data(config)
        vae, progress = load_trained_model(run, data, device, group)
        if config.quantize:
            check_quantizable(vae.spec)
        samples = config.importance_samples
        evaluation = evaluate_dataset(vae, held_out, samples, config.seed, device, group)
        if group.is_main:
            bundle = publish(run, config, data, held_out, vae, evaluation, progress.best_epoch)
            console.print(f"Bundle: {bundle}", soft_wrap=True)
