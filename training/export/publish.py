"""Write the bundle, the images, the report and the model card of a trained model."""

from datetime import UTC, datetime
from pathlib import Path

import torch

from training.config.train_config import TrainConfig
from training.data.conditions import condition_tensor
from training.data.dataset import Dataset, TrainingSet
from training.evaluation.evaluate import Evaluation
from training.evaluation.image_sets import make_image_sets
from training.evaluation.sharpness import Sharpness, measure_sharpness
from training.export import images
from training.export.calibration import calibration_section
from training.export.model_card import model_card
from training.export.onnx import export_files
from training.export.quantize import calibration_rows, quantize
from training.loop.run_directory import RunDirectory
from training.report.writer import ReportWriter
from training.system.files import write_atomically
from training.system.versions import versions
from vae.bundle import write_bundle
from vae.manifest import FileName
from vae.networks import VAE


def publish(
    run: RunDirectory,
    config: TrainConfig,
    data: TrainingSet,
    held_out: Dataset,
    vae: VAE,
    evaluation: Evaluation,
    epoch: int,
) -> Path:
    """Write the run's result files and the next version of the bundle. Returns its directory.

    ``vae`` has the weights of ``epoch`` and is moved to the CPU. Raises ExportError if the export
    gate rejects a graph, and OSError if a file cannot be written.
    """
    run.store_evaluation(evaluation.as_json())
    c = condition_tensor(held_out, vae.spec)
    vae.cpu().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    card = model_card(config, vae.spec, evaluation, rows=len(data), epoch=epoch)
    documents: dict[FileName, bytes] = {
        "README.md": card.encode(),
        "samples.png": images.samples(vae, held_out.x, config.seed, c),
        "reconstructions.png": images.reconstructions(vae, held_out.x, c),
    }
    for name, content in documents.items():
        write_atomically(run.path / name, content)
    write_atomically(run.path / "curves.png", images.curves(run.history()))
    sharpness = _sharpness(vae, held_out, config.seed)
    report = make_report_writer(run, config, data, held_out)
    report.write(vae, epoch=epoch, evaluation=evaluation, sharpness=sharpness)
    files = export_files(vae, held_out.x, evaluation, config.seed, c) | documents
    metrics = evaluation.metrics() | {"epoch": epoch} | (sharpness.metrics() if sharpness else {})
    scores = evaluation.scores
    if config.quantize:
        int8 = quantize(vae, files, calibration_rows(config, data), held_out.x, config.seed)
        files |= int8.files | {"README.md": f"{card}\n{int8.model_card_section()}".encode()}
        metrics |= int8.metrics()
        scores = int8.scores
    return write_bundle(
        config.models,
        files,
        **dict(vae.spec),
        name=config.name,
        created=datetime.now(UTC),
        metrics=metrics,
        calibration=calibration_section(scores),
        quantization="int8" if config.quantize else None,
        versions=versions(),
    )


def make_report_writer(
    run: RunDirectory, config: TrainConfig, data: TrainingSet, held_out: Dataset
) -> ReportWriter:
    """The writer of the run's HTML report."""
    return ReportWriter(run, config, rows=len(data), held_out=held_out)


def _sharpness(vae: VAE, held_out: Dataset, seed: int) -> Sharpness | None:
    images = make_image_sets(vae, held_out, seed)
    return measure_sharpness(images) if images else None
