"""From a trained model to its pictures, its report, its card and its bundle."""

from datetime import UTC, datetime
from pathlib import Path

import torch

from training.config.options import TrainConfig
from training.data.conditions import conditions
from training.data.dataset import Dataset, TrainingSet
from training.evaluation import sharpness
from training.evaluation.evaluate import Evaluation
from training.export import images as pictures
from training.export.calibration import calibration
from training.export.model_card import card
from training.export.onnx import export
from training.export.quantize import calibration_rows, quantize
from training.loop.run_directory import Run
from training.loop.trained_model import store
from training.report.writer import ReportWriter
from training.system.files import write_atomically
from training.system.versions import versions
from vae.bundle import write_bundle
from vae.manifest import FileName
from vae.networks import VAE


def publish(
    run: Run,
    config: TrainConfig,
    data: TrainingSet,
    held_out: Dataset,
    vae: VAE,
    evaluation: Evaluation,
    epoch: int,
) -> Path:
    """Export the VAE with the weights of ``epoch``; write its pictures, its card and its bundle."""
    store(run, evaluation)
    c = conditions(held_out, vae.spec)
    vae.cpu().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    text = card(config, vae.spec, evaluation, rows=len(data), epoch=epoch)
    shown: dict[FileName, bytes] = {
        "README.md": text.encode(),
        "samples.png": pictures.samples(vae, held_out.x, config.seed, c),
        "reconstructions.png": pictures.reconstructions(vae, held_out.x, c),
    }
    for name, content in shown.items():
        write_atomically(run.path / name, content)
    write_atomically(run.path / "curves.png", pictures.curves(run.history()))
    gallery = sharpness.look(vae, held_out, config.seed)
    sharp = sharpness.measure(gallery) if gallery else None
    report = report_of(run, config, data, held_out)
    report.write(vae, epoch=epoch, evaluation=evaluation, sharpness=sharp)
    files = export(vae, held_out.x, evaluation, config.seed, c) | shown
    metrics = evaluation.figures() | {"epoch": epoch} | (sharp.figures() if sharp else {})
    scores = evaluation.scores
    if config.quantize:
        int8 = quantize(vae, files, calibration_rows(config, data), held_out.x, config.seed)
        files |= int8.files | {"README.md": f"{text}\n{int8.section()}".encode()}
        metrics |= int8.figures()
        scores = int8.scores
    return write_bundle(
        config.models,
        files,
        **dict(vae.spec),
        name=config.name,
        created=datetime.now(UTC),
        metrics=metrics,
        calibration=calibration(scores),
        quantization="int8" if config.quantize else None,
        versions=versions(),
    )


def report_of(run: Run, config: TrainConfig, data: TrainingSet, held_out: Dataset) -> ReportWriter:
    """What writes the run's report."""
    return ReportWriter(run, config, rows=len(data), held_out=held_out)
