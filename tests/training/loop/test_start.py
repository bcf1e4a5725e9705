"""The main process decides how a run starts, and every process starts with the same."""

import shutil
from pathlib import Path

import pytest
import torch

from tests.training.loop.test_train import QUIET, make_config, make_data
from training.config.train_config import TrainConfig
from training.data.dataset import Dataset
from training.data.row_source import InMemoryRows
from training.errors import ConfigError, RunError
from training.loop.run_directory import RunDirectory
from training.loop.start import RunStart, check_group, start_run
from training.loop.train import train
from training.model.resolve import resolve
from training.model.spec import model_spec
from training.system.distributed import ProcessGroup


class Main(ProcessGroup):
    """Process 0 of 2, which keeps what it broadcasts."""

    size = 2

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def broadcast(self, content: bytes) -> bytes:
        self.sent.append(content)
        return content


class Second(ProcessGroup):
    """Process 1 of 2, which receives ``messages``."""

    rank = 1
    size = 2

    def __init__(self, messages: list[bytes]) -> None:
        self._messages = list(messages)

    def broadcast(self, content: bytes) -> bytes:
        return self._messages.pop(0)


def start(config: TrainConfig, data: Dataset, group: ProcessGroup) -> RunStart:
    config = resolve(config, data)
    if group.is_main:
        config.run.mkdir(exist_ok=True)
    return start_run(RunDirectory(config.run), config, model_spec(config, data), data, group)


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    return make_config(tmp_path)


def same_weights(one: RunStart, other: RunStart) -> bool:
    pairs = zip(one.vae.state_dict().values(), other.vae.state_dict().values(), strict=True)
    return all(torch.equal(*pair) for pair in pairs)


def test_one_message_starts_every_process_alike(config: TrainConfig, tmp_path: Path) -> None:
    data, main = make_data(), Main()
    first = start(config, data, main)
    assert len(main.sent) == 1
    elsewhere = config.model_copy(update={"run": tmp_path / "not there"})
    second = start(elsewhere, data, Second(main.sent))
    assert same_weights(first, second)
    assert first.progress == second.progress
    assert not elsewhere.run.exists()


def test_weights_of_an_earlier_model_come_from_the_main_process(
    config: TrainConfig, tmp_path: Path
) -> None:
    data, main = make_data(), Main()
    earlier = make_config(tmp_path / "earlier", epochs=1, seed=7, keep="last")
    trained = start(earlier, data, ProcessGroup())
    rows = InMemoryRows(data.x)
    train(trained.vae, rows, rows, earlier, RunDirectory(earlier.run), trained.progress, QUIET)
    config = config.model_copy(update={"start_from": earlier.run})
    first = start(config, data, main)
    shutil.rmtree(earlier.run)
    second = start(config, data, Second(main.sent))
    assert same_weights(first, trained)
    assert same_weights(first, second)


def test_other_options_or_rows_are_named(config: TrainConfig) -> None:
    data, main = make_data(), Main()
    start(config, data, main)
    epochs = config.model_copy(update={"epochs": 3})
    with pytest.raises(RunError, match=r"process 1 of 2 has other options .*: epochs: 20 → 3"):
        start(epochs, data, Second(main.sent))
    with pytest.raises(RunError, match="process 1 of 2 has other training rows than process 0"):
        start(config, make_data(100), Second(main.sent))


def test_what_needs_whole_batches_is_refused_before_the_start() -> None:
    config = make_config(Path("run"))
    for options, message in (
        ({"cuda_graph": True}, "cuda_graph: works with one process, not with 2"),
        ({"batch_size": 1}, "batch_size: 1 is too few rows for 2 processes"),
        ({"free_bits": 0.1}, "free_bits and capacity need whole batches"),
        ({"variance": "optimal"}, "variance: optimal is computed from a whole batch"),
    ):
        changed = config.model_copy(update=options)
        check_group(changed, ProcessGroup())
        with pytest.raises(ConfigError, match=message):
            check_group(changed, Main())
