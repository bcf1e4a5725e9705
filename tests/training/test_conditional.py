"""A conditional model is trained, judged and refused as it should be."""

import pytest
import torch

from training.build import build, model_spec
from training.config import TrainConfig, resolve
from training.data.conditions import conditions
from training.data.dataset import DataError, Dataset
from training.errors import ConfigError
from training.evaluate import ROWS, evaluate
from training.fingerprint import fingerprint
from training.objective import draw
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
    return build(model_spec(config, data), 0)


def test_every_draw_of_a_row_has_the_row_s_condition() -> None:
    data = stripes()
    vae = make_vae(data)
    c = conditions(data, vae.spec)
    assert c is not None
    eps = torch.randn(3, len(data), 2)
    together = draw(vae.given(c), data.x, eps)
    for row in (0, 1, 17):
        alone = draw(vae.given(c[row : row + 1]), data.x[row : row + 1], eps[:, row : row + 1])
        torch.testing.assert_close(together.log_px_z[:, row], alone.log_px_z[:, 0])


def test_the_evaluation_gives_each_batch_its_own_conditions() -> None:
    data = stripes(ROWS + 7)
    vae = make_vae(data)
    c = conditions(data, vae.spec)
    assert c is not None
    with torch.no_grad():
        for weight in vae.parameters():
            weight.normal_(std=0.5)
    right = evaluate(vae, data.x, samples=1, seed=0, c=c)
    swapped = evaluate(vae, data.x, samples=1, seed=0, c=c.flip(1))
    assert (right.scores != swapped.scores).all()
    again = evaluate(vae, data.x[:ROWS], samples=1, seed=0, c=c[:ROWS])
    torch.testing.assert_close(torch.tensor(again.scores), torch.tensor(right.scores[:ROWS]))


def test_labels_are_part_of_what_a_run_was_begun_on() -> None:
    x, c = torch.zeros(3, 2), torch.eye(3)
    assert len({fingerprint(x), fingerprint(x, c), fingerprint(x, c.flip(0))}) == 3
    assert fingerprint(x, None) == fingerprint(x)


def test_what_cannot_be_conditional_is_refused_before_training() -> None:
    data = stripes()
    with pytest.raises(DataError, match="needs labels"):
        make_vae(Dataset(data.x, data.input))
    with pytest.raises(ConfigError, match="pseudo-inputs have no class"):
        make_vae(data, prior="vamp")
