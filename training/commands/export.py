"""``export``: a run's model as the next version of its bundle."""

from pathlib import Path

from pydantic import ConfigDict, Field
from rich.console import Console

from training.config.file import WithFile
from training.config.types import Device
from training.data.prepare import load_data
from training.evaluation.evaluate import evaluated
from training.export.publish import publish
from training.export.quantize import check_quantizable
from training.loop.run_directory import Run
from training.loop.trained_model import trained
from training.system.device import open_device
from training.system.distributed import join


class ExportCommand(WithFile):
    """Evaluate a run's model and write it as the next version of its bundle."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: Path = Field(description="directory of the run")
    models: Path | None = Field(
        None, description="directory that the bundle is written to; without it the run's own"
    )
    quantize: bool | None = Field(
        None, description="the bundle's graphs in int8; without it as the run has it"
    )
    device: Device = Field("cpu", description="cpu, cuda or cuda:<number>")


def run_export(command: ExportCommand, console: Console) -> None:
    """Write the run's checkpoint as the next version of its bundle."""
    device = open_device(command.device)
    with join(device) as group:
        run = Run(command.run)
        config = run.config()
        given = {"models": command.models, "quantize": command.quantize}
        config = config.model_copy(update={k: v for k, v in given.items() if v is not None})
        data, held_out = load_data(config)
        vae, progress = trained(run, data, device, group)
        if config.quantize:
            check_quantizable(vae.spec)
        draws = config.importance_samples
        evaluation = evaluated(vae, held_out, draws, config.seed, device, group)
        if group.main:
            bundle = publish(run, config, data, held_out, vae, evaluation, progress.best_epoch)
            console.print(f"bundle {bundle}", soft_wrap=True)
