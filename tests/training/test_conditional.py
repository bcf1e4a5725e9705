"""A conditional model is trained, judged and refused as it should be."""

from pathlib import Path

import numpy as np
import pytest
import torch

from training.config.train_config import TrainConfig
from training.data.conditions import condition_tensor, with_conditions
from training.data.dataset import DataError, Dataset
from training.data.fingerprint import fingerprint
from training.data.load import load_dataset
from training.data.row_source import Batch, InMemoryRows
from training.data.sharded import ShardedDataset
from training.errors import ConfigError
from training.evaluation.batches import BATCH_ROWS
from training.evaluation.evaluate import evaluate
from training.evaluation.ppca_comparison import compare_with_ppca
from training.export.quantize import check_quantizable
from training.loop.aggressive import random_batches
from training.loop.checkpoint import Progress
from training.loop.reporter import Reporter
from training.loop.run_directory import RunDirectory
from training.loop.step import train_step
from training.loop.train import train
from training.loop.train_state import TrainState
from training.model.build import build_vae
from training.model.resolve import resolve
from training.model.spec import model_spec
from training.objectives.objective import sample_posterior
from training.objectives.schedules import final_values
from training.system.distributed import SINGLE_PROCESS, ProcessGroup
from vae.manifest import InputSpec
from vae.networks import VAE


def stripes(rows: int = 60) -> Dataset:
    """A row is bright in its left or in its right half, as its label says."""
    labels = torch.arange(rows) % 2
    x = torch.zeros(rows, 4)
    x[labels == 0, :2] = 1
    x[labels == 1, 2:] = 1
    spec = InputSpec(kind="vector", shape=(4,), dtype="float32", range=(0, 1))
    return Dataset(x, spec, labels)


def make_vae(data: Dataset, **options: object) -> VAE:
    given = {"data": "d", "latent_dim": 2, "hidden": (8,), "conditional": True, **options}
    config = resolve(TrainConfig(**given), data)
    return build_vae(model_spec(config, data), 0)


def told(data: Dataset) -> InMemoryRows:
    return with_conditions(data, make_vae(data).spec)


def fitting(batch: Batch) -> bool:
    """Whether each row has the condition of its stripe."""
    return batch.c is not None and torch.equal(batch.c, batch.x[:, ::2])


def test_rows_and_conditions_stay_together_in_whatever_order() -> None:
    rows = told(stripes())
    second = ProcessGroup()
    second.rank, second.size = 1, 2
    for group in (SINGLE_PROCESS, second):
        batches = list(rows.batches(16, 0, 1, group))
        assert all(fitting(batch) for batch in batches)
        by_chance = random_batches(rows, 16, 0, 1, group)
        assert all(fitting(next(by_chance)) for _ in range(5))
    assert sum(len(batch.x) for batch in batches) == 30
    assert rows.fingerprint() != stripes().rows.fingerprint()


def test_a_step_hears_the_conditions() -> None:
    data = stripes()
    batch = next(told(data).batches(20, 0, 1, SINGLE_PROCESS))
    assert batch.c is not None
    config = resolve(TrainConfig(data="d", latent_dim=2, conditional=True), data)
    found = set()
    for c in (batch.c, batch.c.flip(1)):
        state = TrainState.create(make_vae(data), config, rows=len(data))
        given = batch._replace(c=c)
        found.add(float(train_step(state, given, final_values(config), torch.Generator())[-1]))
    assert len(found) == 2


def test_conditional_training_reaches_what_the_label_tells(tmp_path: Path) -> None:
    data, run = stripes(), RunDirectory(tmp_path)
    config = resolve(
        TrainConfig(
            data="d", latent_dim=1, hidden=(8,), conditional=True, epochs=60, learning_rate=0.05
        ),
        data,
    )
    spec = model_spec(config, data)
    unseen = with_conditions(data, spec)
    fresh = Progress(spec=spec, data=unseen.fingerprint())
    train(build_vae(spec, 0), unseen, unseen, config, run, fresh, Reporter())
    assert run.history()[-1]["held_out_elbo"] > -0.3  # without labels at most -log 2


def test_conditional_training_reaches_what_numbers_tell(tmp_path: Path) -> None:
    c = torch.rand(400, 1, generator=torch.Generator().manual_seed(0)) * 100 + 1000
    x = torch.cat([c, -2 * c], dim=1)
    spec = InputSpec(kind="vector", shape=(2,), dtype="float32")
    data, run = Dataset(x, spec, c=c, c_names=("degrees",)), RunDirectory(tmp_path)
    given = {"latent_dim": 1, "conditional": True, "epochs": 40, "learning_rate": 0.02}
    config = resolve(TrainConfig(data="d", variance="unit", **given), data)
    rows = with_conditions(data, model_spec(config, data))
    fresh = Progress(spec=model_spec(config, data), data=rows.fingerprint())
    train(build_vae(fresh.spec, 0), rows, rows, config, run, fresh, Reporter())
    last = run.history()[-1]
    assert last["held_out_elbo"] > -np.log(2 * np.pi) - 0.1  # all of x is known
    assert last["kl"] < 0.1


def test_every_draw_of_a_row_has_the_row_s_condition() -> None:
    data = stripes()
    vae = make_vae(data)
    c = condition_tensor(data, vae.spec)
    assert c is not None
    eps = torch.randn(3, len(data), 2)
    together = sample_posterior(vae.conditioned_on(c), data.x, eps)
    for row in (0, 1, 17):
        alone = sample_posterior(
            vae.conditioned_on(c[row : row + 1]), data.x[row : row + 1], eps[:, row : row + 1]
        )
        torch.testing.assert_close(together.log_px_z[:, row], alone.log_px_z[:, 0])


def test_the_evaluation_gives_each_batch_its_own_conditions() -> None:
    data = stripes(BATCH_ROWS + 7)
    vae = make_vae(data)
    c = condition_tensor(data, vae.spec)
    assert c is not None
    with torch.no_grad():
        for weight in vae.parameters():
            weight.normal_(std=0.5)
    right = evaluate(vae, data.x, samples=1, seed=0, c=c)
    swapped = evaluate(vae, data.x, samples=1, seed=0, c=c.flip(1))
    assert (right.scores != swapped.scores).all()
    again = evaluate(vae, data.x[:BATCH_ROWS], samples=1, seed=0, c=c[:BATCH_ROWS])
    torch.testing.assert_close(torch.tensor(again.scores), torch.tensor(right.scores[:BATCH_ROWS]))


def test_labels_are_part_of_what_a_run_was_begun_on() -> None:
    x, c = torch.zeros(3, 2), torch.eye(3)
    assert len({fingerprint(x), fingerprint(x, c), fingerprint(x, c.flip(0))}) == 3
    assert fingerprint(x, None) == fingerprint(x)


def test_what_cannot_be_conditional_is_refused_before_training() -> None:
    data = stripes()
    with pytest.raises(DataError, match="needs labels or condition values"):
        make_vae(Dataset(data.x, data.input))
    with pytest.raises(ConfigError, match="pseudo-inputs have no condition"):
        make_vae(data, prior="vamp")


def test_shards_have_no_labels(tmp_path: Path) -> None:
    np.save(tmp_path / "0.npy", np.random.default_rng(0).random((50, 4), np.float32))
    shards = load_dataset(str(tmp_path))
    assert isinstance(shards, ShardedDataset)
    data, _ = shards.split(0.2, 0, 1 << 20)
    config = resolve(TrainConfig(data=str(tmp_path), conditional=True), data)
    with pytest.raises(DataError, match="Shards cannot have"):
        model_spec(config, data)


def test_a_conditional_model_has_no_closed_form() -> None:
    data = stripes()
    vae = make_vae(data, hidden=(), likelihood="gaussian", variance="learned")
    with pytest.raises(ConfigError, match="no condition"):
        compare_with_ppca(vae, data.x, data.x, 0)


def test_a_conditional_model_stays_in_float() -> None:
    with pytest.raises(ConfigError, match="cannot be combined with conditional"):
        check_quantizable(make_vae(stripes()).spec)
