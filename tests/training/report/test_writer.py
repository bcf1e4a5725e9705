"""When the report is written while a run continues."""

from pathlib import Path

import pytest
import torch

from tests.training.models import epoch_metrics
from tests.training.report.test_model_outputs import make
from training.config.train_config import TrainConfig
from training.loop.run_directory import RunDirectory
from training.report.writer import NAME, ReportWriter
from vae.networks import VAE


@pytest.fixture
def vae() -> VAE:
    return make()[0]


@pytest.fixture
def writer(tmp_path: Path) -> ReportWriter:
    run = RunDirectory(tmp_path)
    config = TrainConfig(data="data/secret/rows.npy", run=tmp_path, epochs=9, latent_dim=4)
    return ReportWriter(run, config, rows=100, held_out=make()[1])


def append_metrics(path: Path, epoch: int) -> None:
    RunDirectory(path).append_metrics(epoch_metrics(epoch).as_json())


def test_a_run_that_goes_on_says_how_far_it_is(
    writer: ReportWriter, vae: VAE, tmp_path: Path
) -> None:
    append_metrics(tmp_path, 1)
    append_metrics(tmp_path, 2)
    writer.checkpoint(vae)
    page = (tmp_path / NAME).read_text("utf-8")
    assert "Training: epoch 2 of 9." in page
    assert 'http-equiv="refresh"' in page
    assert "1,234" in page
    assert "rows.npy" in page
    assert "secret" not in page


def test_the_next_report_waits_until_training_has_earned_it(
    writer: ReportWriter, vae: VAE, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 1.0
        return now

    monkeypatch.setattr("time.monotonic", clock)
    written = []
    for epoch in range(1, 101):
        append_metrics(tmp_path, epoch)
        writer.checkpoint(vae)
        written.append(f"epoch {epoch} of 9" in (tmp_path / NAME).read_text("utf-8"))
    assert [epoch for epoch, fresh in enumerate(written, start=1) if fresh][:2] == [1, 31]


def test_a_model_that_diverged_leaves_the_last_report(
    writer: ReportWriter, vae: VAE, tmp_path: Path
) -> None:
    append_metrics(tmp_path, 1)
    writer.write(vae, epoch=1)
    before = (tmp_path / NAME).read_bytes()
    with torch.no_grad():
        next(vae.encoder.parameters()).fill_(torch.nan)
    writer.write(vae, epoch=2)
    assert (tmp_path / NAME).read_bytes() == before


def test_without_an_epoch_there_is_nothing_to_tell(
    writer: ReportWriter, vae: VAE, tmp_path: Path
) -> None:
    writer.write(vae, epoch=0)
    assert not (tmp_path / NAME).exists()
