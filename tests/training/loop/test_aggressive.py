"""The encoder's own steps: on nothing but the encoder, and no more than help."""

from collections.abc import Iterator

import pytest
import torch

from tests.training.models import gaussian_vae, now
from training.config.train_config import TrainConfig
from training.data.row_source import Batch, InMemoryRows
from training.loop import aggressive
from training.loop.aggressive import MAX_ROUNDS, STEPS_PER_ROUND, random_batches, train_encoder
from training.loop.train_state import TrainState
from training.system.distributed import SINGLE_PROCESS, ProcessGroup
from vae.networks import VAE

X = torch.randn(64, 5, generator=torch.Generator().manual_seed(0))


def start(**options: object) -> tuple[VAE, TrainState]:
    vae = gaussian_vae()
    config = TrainConfig.model_validate({"data": "x", "learning_rate": 0.01, **options})
    return vae, TrainState.create(vae, config, rows=len(X)).split()[0]


def batches(
    x: torch.Tensor = X, epoch: int = 1, group: ProcessGroup = SINGLE_PROCESS
) -> Iterator[Batch]:
    return random_batches(InMemoryRows(x), 16, 0, epoch, group)


def members(size: int) -> list[ProcessGroup]:
    group = [ProcessGroup() for _ in range(size)]
    for rank, member in enumerate(group):
        member.rank, member.size = rank, size
    return group


def noise() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def test_only_the_encoder_moves() -> None:
    vae, encoder = start()
    before = {name: weight.clone() for name, weight in vae.named_parameters()}
    train_encoder(encoder, batches(), now(), noise())
    moved = {name for name, weight in vae.named_parameters() if not weight.equal(before[name])}
    assert moved == {name for name in before if name.startswith("encoder.")}


def test_the_two_halves_are_all_that_is_trained() -> None:
    vae, _ = start()
    encoder, rest = TrainState.create(vae, TrainConfig(data="x"), rows=9).split()
    assert {id(p) for p in encoder.parameters} == {id(p) for p in vae.encoder.parameters()}
    assert {id(p) for p in (*encoder.parameters, *rest.parameters)} == {
        id(p) for p in vae.parameters()
    }
    assert len(encoder.parameters) + len(rest.parameters) == len(list(vae.parameters()))


def test_random_batches_are_the_same_in_every_process_and_differ_between_epochs() -> None:
    whole = batches()
    first, second = next(whole), next(whole)
    assert torch.equal(first.x, next(batches()).x)
    assert not torch.equal(first.x, second.x)
    assert not torch.equal(first.x, next(batches(epoch=2)).x)
    parts = [next(batches(group=group)) for group in members(3)]
    assert torch.equal(torch.cat([part.x for part in parts]), first.x)
    assert {part.rows for part in parts} == {16}


@pytest.mark.parametrize(
    ("losses", "looks"),
    [([5.0, 4.0, 4.5], 3), ([5.0, 5.0], 2), (list(range(20, 0, -1)), MAX_ROUNDS)],
    ids=["rose", "stayed", "fell to the end"],
)
def test_it_stops_when_the_loss_is_no_lower(
    losses: list[float], looks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = 0

    def train_step(*given: object) -> torch.Tensor:
        nonlocal taken
        taken += 1
        return torch.tensor([0.0, 1, 0, 0, 0, losses[(taken - 1) // STEPS_PER_ROUND]])

    monkeypatch.setattr(aggressive, "train_step", train_step)
    train_encoder(start()[1], batches(), now(), noise())
    assert taken == looks * STEPS_PER_ROUND


def test_steps_that_are_all_skipped_end_it() -> None:
    vae, encoder = start()
    train_encoder(encoder, batches(torch.full_like(X, torch.nan)), now(), noise())
    assert all(torch.isfinite(weight).all() for weight in vae.parameters())
