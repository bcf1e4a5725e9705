"""What MLflow finds of a run, and what becomes of a run whose MLflow goes away."""

import io
from pathlib import Path

import pytest

pytest.importorskip("mlflow")

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from rich.console import Console

from tests.training.models import epoch_metrics
from tests.training.report.test_model_outputs import make
from training.config.train_config import TrainConfig
from training.errors import RunError
from training.evaluation.evaluate import evaluate
from training.loggers.mlflow import ID_FILE, MlflowLogger
from training.loop.run_directory import RunDirectory

VAE, DATA = make()
EVALUATION = evaluate(VAE, DATA.x, samples=2, seed=0)


pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty database of MLflow's, where MLFLOW_TRACKING_URI says."""
    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path}/ours.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri


def test_a_resumed_run_is_one_run_with_all_its_epochs(store: str, tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "runs" / "first")
    run.path.mkdir(parents=True)
    (run.path / "report.html").write_text("<p>")
    config = TrainConfig(data="digits", name="people", run=run.path, latent_dim=2)
    for epochs_done in (0, 2):
        with MlflowLogger(
            run, config, epochs_done=epochs_done, console=Console(quiet=True)
        ) as logger:
            logger.epoch(epoch_metrics(epochs_done + 1))
            logger.epoch(epoch_metrics(epochs_done + 2))
            logger.published(EVALUATION, run.result_files())
    client = MlflowClient(tracking_uri=store)
    (found,) = client.search_runs([client.get_experiment_by_name("people").experiment_id])
    assert found.info.run_id == (run.path / ID_FILE).read_text().strip()
    assert (found.info.run_name, found.info.status) == ("first", "FINISHED")
    assert found.data.params["latent_dim"] == "2"
    assert found.data.metrics["final/elbo"] == EVALUATION.elbo
    assert "held_out_elbo" not in found.data.metrics  # it is not a number here
    history = client.get_metric_history(found.info.run_id, "elbo")
    assert [metric.step for metric in history] == [1, 2, 3, 4]
    assert [each.path for each in client.list_artifacts(found.info.run_id)] == ["report.html"]


def test_a_place_that_mlflow_does_not_know_is_an_error_of_the_user(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nowhere://at.all")
    config = TrainConfig(data="digits", run=tmp_path)
    with pytest.raises(RunError, match=r"MLflow at nowhere://at\.all cannot be used"):
        MlflowLogger(RunDirectory(tmp_path), config, epochs_done=0, console=Console(quiet=True))


class Lost:
    """A client whose server went away after the run had begun."""

    def __init__(self) -> None:
        self.calls = 0

    def log_batch(self, identity: str, metrics: object) -> None:
        self.calls += 1
        raise MlflowException("the server is gone")

    def set_terminated(self, identity: str, status: str) -> None:
        raise AssertionError("nothing is sent after the first failure")


def test_a_server_that_is_lost_is_said_once_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Lost()
    monkeypatch.setattr("training.loggers.mlflow.MlflowClient", lambda: client)
    monkeypatch.setattr(MlflowLogger, "_open", lambda *given: "an id")
    said = io.StringIO()
    config = TrainConfig(data="digits", run=tmp_path)
    console = Console(file=said, width=200)
    with MlflowLogger(RunDirectory(tmp_path), config, epochs_done=0, console=console) as logger:
        for epoch in range(1, 500):
            logger.epoch(epoch_metrics(epoch))
    assert client.calls == 1
    assert said.getvalue().count("the server is gone") == 1
