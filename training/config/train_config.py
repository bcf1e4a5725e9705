"""The configuration of a training run: its options, checked against each other."""

from typing import Self

from pydantic import model_validator

from training.config.consistency import check_consistency
from training.config.options import TrainOptions

CHANGEABLE_ON_RESUME = frozenset(
    {
        "data",  # the data may move; its fingerprint shows that the rows are the same
        "name",
        "run",
        "models",
        "start_from",  # the checkpoint of a run that has started contains the weights
        "epochs",  # a longer run of the same kind
        "patience",  # only decides when to stop
        "max_skipped",
        "importance_samples",
        "quantize",
        "device",
        "cuda_graph",
        "threads",
        "checkpoint_seconds",
        "log",
    }
)

PROCESS_SPECIFIC = frozenset({"data", "run", "models", "device", "threads"})
"""The options that may differ between the processes of one run: paths and devices."""


class TrainConfig(TrainOptions):
    """The options of ``train``. The resolved config in a run directory has no ``auto`` values."""

    @property
    def changeable_on_resume(self) -> frozenset[str]:
        """The options that a resumed run may change, since no past step depends on them.

        ``epochs`` is not among them if the learning rate follows a curve over all epochs.
        """
        over_all_epochs = self.learning_rate_schedule in ("cosine", "staircase")
        return CHANGEABLE_ON_RESUME - {"epochs"} if over_all_epochs else CHANGEABLE_ON_RESUME

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        check_consistency(self)
        return self


def changed_options(stored: TrainConfig, given: TrainConfig, *, free: frozenset[str]) -> list[str]:
    """The options that differ, without the ``free`` ones, for example ``latent_dim: 16 → 8``."""
    before, after = stored.model_dump(), given.model_dump()
    return [
        f"{name}: {before[name]} → {after[name]}"
        for name in before
        if name not in free and before[name] != after[name]
    ]
