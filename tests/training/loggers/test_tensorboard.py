"""What TensorBoard finds of a run that was resumed once."""

from pathlib import Path

import pytest

pytest.importorskip("tensorboard")

from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.conftest import TrainBundle
from tests.training.models import epoch_metrics
from training.loggers.tensorboard import FOLDER, TensorBoardLogger
from training.loop.run_directory import RunDirectory


@pytest.fixture(scope="module")
def events(train_bundle: TrainBundle, table_file: Path) -> EventAccumulator:
    """Of a run of two epochs that went on to three after its logger had seen the third begin."""
    bundle = train_bundle(table_file, "logged", latent_dim=2, hidden=(8,), log=("tensorboard",))
    run = RunDirectory(bundle.parents[2] / "run")
    for epochs in ((3, 4), (3,)):
        with TensorBoardLogger(
            run, run.config(), epochs_done=2, console=Console(quiet=True)
        ) as logger:
            for epoch in epochs:
                logger.epoch(epoch_metrics(epoch))
    found = EventAccumulator(str(run.path / FOLDER))
    found.Reload()
    return found


def test_every_number_is_there_once_an_epoch(events: EventAccumulator) -> None:
    tags = events.Tags()["scalars"]
    for name in ("elbo", "kl", "beta", "active_units", "learning_rate"):
        assert name in tags
        assert [event.step for event in events.Scalars(name)] == [1, 2, 3]


def test_figures_and_pictures_are_there_at_the_end(events: EventAccumulator) -> None:
    assert events.Scalars("final/elbo")[-1].step == 2
    assert {"samples", "reconstructions", "curves"} <= set(events.Tags()["images"])
    assert any("hparams" in tag for tag in events.summary_metadata)
