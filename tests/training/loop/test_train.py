"""The loop, on tiny data: it learns, it skips what is not finite, it gives up in time."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from training.config.train_config import TrainConfig
from training.data.dataset import Dataset
from training.data.row_source import InMemoryRows
from training.errors import RunError
from training.evaluation.kl_decomposition import KLDecomposition
from training.evaluation.validate import validate
from training.loggers.console import PlainReporter
from training.loop.checkpoint import Progress, load_best, read_progress
from training.loop.run_directory import RunDirectory
from training.loop.step import update_weights
from training.loop.train import advance_aggressive, run_epoch, train
from training.loop.train_state import TrainState
from training.model.build import build_vae
from training.model.resolve import resolve
from training.model.spec import model_spec
from training.objectives.elbo import ELBO
from training.objectives.objective import Loss
from training.objectives.schedules import ScheduledValues, final_values
from vae.manifest import InputSpec
from vae.networks import VAE

QUIET = PlainReporter(Console(quiet=True), epochs=1)


def make_data(rows: int = 256) -> Dataset:
    """Points near a line in five dimensions."""
    generator = torch.Generator().manual_seed(0)
    along = torch.randn(rows, 1, generator=generator)
    x = along * torch.tensor([3.0, -2.0, 1.0, 0.5, 4.0])
    x += 0.1 * torch.randn(rows, 5, generator=generator)
    return Dataset(x, InputSpec(kind="vector", shape=(5,), dtype="float32"))


def make_config(run: Path, **options: object) -> TrainConfig:
    return TrainConfig.model_validate(
        {
            "data": "line",
            "run": run,
            "latent_dim": 2,
            "hidden": (16,),
            "batch_size": 64,
            "epochs": 20,
            "learning_rate": 1e-2,
            "checkpoint_seconds": 1000,
            **options,
        }
    )


def fit(config: TrainConfig, data: Dataset) -> tuple[VAE, RunDirectory]:
    config = resolve(config, data)
    spec = model_spec(config, data)
    config.run.mkdir(exist_ok=True)
    run = RunDirectory(config.run)
    vae = build_vae(spec, config.seed)
    progress = Progress(spec=spec, data="")
    train(vae, data.rows, make_data(64).rows, config, run, progress, QUIET)
    return vae, run


def test_the_loss_falls_and_the_metrics_say_so(tmp_path: Path) -> None:
    _, run = fit(make_config(tmp_path), make_data())
    history = run.history()
    assert [line["epoch"] for line in history] == list(range(1, 21))
    assert history[-1]["step"] == 20 * 4
    assert history[-1]["elbo"] > history[0]["elbo"] + 3
    assert history[-1]["held_out_elbo"] > history[0]["held_out_elbo"] + 3
    for line in history:
        assert line["elbo"] == pytest.approx(line["reconstruction"] - line["kl"])
        assert line["skipped"] == 0


def test_every_row_counts_once_also_in_a_short_last_batch() -> None:
    data = make_data(100)
    config = resolve(make_config(Path(), batch_size=64), data)
    vae = build_vae(model_spec(config, data), 0)
    totals = run_epoch(TrainState.create(vae, config, rows=len(data)), data.rows, config, 1, QUIET)
    assert (totals.steps, totals.rows, totals.skipped) == (2, 100, 0)


def test_the_kl_weight_rises_over_the_epochs_asked_for(tmp_path: Path) -> None:
    _, run = fit(make_config(tmp_path, epochs=4, kl_anneal_epochs=2, beta=0.5), make_data())
    assert [line["beta"] for line in run.history()] == pytest.approx([0.1875, 0.4375, 0.5, 0.5])


def test_the_learned_variance_finds_the_noise(tmp_path: Path) -> None:
    vae, _ = fit(make_config(tmp_path, epochs=120), make_data())
    variance = torch.exp(vae.likelihood.log_variance.detach()).item()
    assert variance < 0.05  # of standardised columns; it starts at 1


def test_a_step_that_is_not_finite_leaves_weights_and_optimiser_alone() -> None:
    data = make_data()
    config = resolve(make_config(Path()), data)
    vae = build_vae(model_spec(config, data), 0)
    state, now = TrainState.create(vae, config, rows=256), final_values(config)
    good, eps = data.x[:8], torch.zeros(1, 8, 2)
    bad = good.clone()
    bad[3, 2] = torch.inf
    update_weights(state, good, eps, now)
    weights = [weight.clone() for weight in vae.parameters()]
    moments = [moments_of["exp_avg"].clone() for moments_of in state.optimiser.state.values()]
    counts = update_weights(state, bad, eps, now)
    assert counts.tolist() == [1, 0, 0, 0, 0, 0]
    assert all(torch.equal(*pair) for pair in zip(weights, vae.parameters(), strict=True))
    update = [moments_of["exp_avg"] for moments_of in state.optimiser.state.values()]
    assert all(torch.equal(*pair) for pair in zip(moments, update, strict=True))
    counts = update_weights(state, good, eps, now)
    assert counts[:2].tolist() == [0, 8]
    assert not torch.equal(weights[0], next(iter(vae.parameters())))


def test_skipped_steps_are_counted_and_left_out_of_the_means(tmp_path: Path) -> None:
    data = make_data()
    x = data.x.clone()
    x[17, 0] = torch.nan
    config = resolve(make_config(tmp_path, epochs=3, max_skipped=0.25), data)
    spec = model_spec(config, data)
    run = RunDirectory(tmp_path)
    unseen, fresh = InMemoryRows(data.x[:9]), Progress(spec=spec, data="")
    train(build_vae(spec, 0), InMemoryRows(x), unseen, config, run, fresh, QUIET)
    assert [line["skipped"] for line in run.history()] == [1, 1, 1]
    assert all(line["elbo"] is not None for line in run.history())


def test_too_many_skipped_steps_end_the_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"stopped in epoch \d+: . of 4 steps .* learning rate"):
        fit(make_config(tmp_path, learning_rate=1e30), make_data())


def test_gradients_are_clipped() -> None:
    data = make_data()
    config = resolve(make_config(Path(), clip_norm=0.01), data)
    vae = build_vae(model_spec(config, data), 0)
    state = TrainState.create(vae, config, rows=256)
    update_weights(state, data.x, torch.zeros(1, 256, 2), final_values(config))
    norm = torch.nn.utils.get_total_norm([p.grad for p in vae.parameters() if p.grad is not None])
    assert norm.item() == pytest.approx(0.01, rel=1e-3)


def test_the_checkpoint_keeps_the_best_epoch_or_the_last(tmp_path: Path) -> None:
    few = make_data(16)  # soon learned by heart
    options = {"epochs": 300, "hidden": (64,), "batch_size": 16}
    last_vae, last = fit(make_config(tmp_path / "last", keep="last", **options), few)
    _, best = fit(make_config(tmp_path / "best", **options), few)
    kept, progress = load_best(last.checkpoint)
    assert progress.best_epoch == 300
    pairs = zip(kept.parameters(), last_vae.parameters(), strict=True)
    assert all(torch.equal(*pair) for pair in pairs)
    progress = read_progress(best.checkpoint)
    scores = [line["held_out_elbo"] for line in best.history()]
    assert progress.best_epoch == scores.index(max(scores)) + 1 < 300
    assert progress.best_objective == pytest.approx(max(scores))


def test_the_means_of_an_epoch_are_those_of_the_objective() -> None:
    data = make_data(64)
    config = resolve(make_config(Path(), learning_rate=1e-30), data)
    vae = build_vae(model_spec(config, data), 0)
    totals = run_epoch(TrainState.create(vae, config, rows=len(data)), data.rows, config, 1, QUIET)
    with torch.no_grad():
        expected = ELBO()(vae, data.x, torch.randn(1, 64, 2), final_values(config)).kl.sum().item()
    assert totals.kl == pytest.approx(expected, rel=1e-4)  # does not depend on the noise


@pytest.mark.parametrize(
    "options",
    [
        {"objective": "iwae", "draws": 4},
        {"objective": "dreg", "draws": 4},
        {"objective": "beta-tc", "beta": 2},
        {"objective": "mmd", "beta": 0.5},
        {"free_bits": 0.1},
        {"capacity": 3, "capacity_epochs": 5, "beta": 5},
        {"draws": 3},
    ],
)
def test_every_objective_is_raised(options: dict[str, Any], tmp_path: Path) -> None:
    _, run = fit(make_config(tmp_path, **options), make_data())
    first, *_, last = run.history()
    for figure in ("held_out_objective", "held_out_elbo"):
        assert last[figure] > first[figure] + 1


def test_a_plateau_lowers_the_learning_rate(tmp_path: Path) -> None:
    options = {"learning_rate_schedule": "plateau", "plateau_epochs": 3, "plateau_factor": 0.1}
    config = make_config(tmp_path, epochs=200, learning_rate=0.05, **options)
    _, run = fit(config, make_data())
    rates = [line["learning_rate"] for line in run.history()]
    assert rates == sorted(rates, reverse=True)
    assert min(rates) < 0.01
    best, since, rate = -math.inf, 0, 0.05
    for line in run.history():
        assert line["learning_rate"] == pytest.approx(rate)
        since = 0 if line["held_out_objective"] > best else since + 1
        best = max(best, line["held_out_objective"])
        rate, since = (rate * 0.1, 0) if since == 3 else (rate, since)


def test_a_run_ends_when_patience_is_lost_and_goes_on_with_more(tmp_path: Path) -> None:
    few = make_data(16)  # soon learned by heart
    options: dict[str, Any] = {"epochs": 300, "hidden": (64,), "batch_size": 16}
    _, run = fit(make_config(tmp_path, patience=5, **options), few)
    history = run.history()
    reached = read_progress(run.checkpoint)
    assert len(history) == reached.epoch == reached.best_epoch + 5 < 300
    scores = [line["held_out_objective"] for line in history]
    assert scores.index(max(scores)) + 1 == reached.best_epoch


def test_the_average_of_the_weights_is_what_is_judged_and_kept(tmp_path: Path) -> None:
    config = make_config(tmp_path, ema=0.9, keep="last", epochs=3)
    vae, run = fit(config, make_data())
    kept, _ = load_best(run.checkpoint)
    assert not torch.equal(next(kept.parameters()), next(vae.parameters()))
    found = validate(kept, ELBO(), make_data(64).x, final_values(config), config.seed)
    assert run.history()[-1]["held_out_elbo"] == pytest.approx(found.elbo)


class Recorder:
    """An ELBO that keeps every batch that it saw."""

    noise_samples = 1
    averages_rows = True

    def __init__(self) -> None:
        self.seen: list[torch.Tensor] = []

    def __call__(self, vae: VAE, x: torch.Tensor, eps: torch.Tensor, now: ScheduledValues) -> Loss:
        self.seen.append(x)
        return ELBO()(vae, x, eps, now)


def pictures_of(epoch: int, seed: int = 0) -> torch.Tensor:
    """What an epoch of dynamically binarised pictures shows, in the order of the rows."""
    spec = InputSpec(kind="image", shape=(2, 2), dtype="uint8", range=(0, 255))
    levels = torch.arange(100, dtype=torch.uint8).repeat_interleave(4).reshape(100, 2, 2)
    data = Dataset(levels, spec)
    options = {"binarise": "dynamic", "likelihood": "bernoulli", "seed": seed, "batch_size": 30}
    config = resolve(make_config(Path(), **options), data)
    recorder = Recorder()
    state = TrainState.create(build_vae(model_spec(config, data), 0), config, rows=100)
    run_epoch(replace(state, objective=recorder), data.rows, config, epoch, QUIET)
    return torch.cat(recorder.seen)


def test_dynamic_binarisation_depends_on_the_seed_and_the_epoch_alone() -> None:
    first = pictures_of(epoch=3)
    assert set(first.unique().tolist()) == {0.0, 255.0}
    assert torch.equal(first, pictures_of(epoch=3))
    ones = [pictures_of(epoch).sum().item() for epoch in (1, 2, 3)]
    assert len(set(ones)) == 3


def test_aggressive_training_goes_on_where_it_stopped(tmp_path: Path) -> None:
    data = make_data()
    options: dict[str, Any] = {"aggressive": True, "batch_size": 128, "ema": 0.9}
    _, whole = fit(make_config(tmp_path / "whole", epochs=4, **options), data)
    _, parts = fit(make_config(tmp_path / "parts", epochs=2, **options), data)
    config = resolve(make_config(tmp_path / "parts", epochs=4, **options), data)
    progress = read_progress(parts.checkpoint)
    assert progress.mutual_information.best is not None
    vae = build_vae(progress.spec, config.seed)
    train(vae, data.rows, make_data(64).rows, config, parts, progress, QUIET)
    assert parts.checkpoint.read_bytes() == whole.checkpoint.read_bytes()
    assert whole.history()[-1]["elbo"] > whole.history()[0]["elbo"] + 0.1


def test_training_is_aggressive_until_the_mutual_information_stops_rising() -> None:
    data = make_data(16)
    progress = Progress(spec=model_spec(resolve(make_config(Path()), data), data), data="")
    going_on = []
    for nats in (1.0, 2.0, 1.9):
        progress = advance_aggressive(progress, KLDecomposition(nats, 0.0, 0.0))
        going_on.append(not progress.mutual_information.should_stop(1))
    assert going_on == [True, True, False]
