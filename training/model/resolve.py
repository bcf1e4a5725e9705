"""Replace the options that say auto by what the data calls for."""

from training.config.consistency import SCALINGS
from training.config.options import DEFAULT_STEPS
from training.config.train_config import TrainConfig
from training.config.types import Scaling
from training.data.dataset import TrainingSet

DEFAULT_HIDDEN = {"mlp": (128,), "conv": (256,)}


def resolve(config: TrainConfig, train: TrainingSet) -> TrainConfig:
    """The same config with everything that depends on the data decided."""
    scaling = _scaling(config, train)
    likelihood = config.likelihood
    if likelihood == "auto":
        by_range = train.input.kind == "image" and scaling == "range"
        likelihood = "bernoulli" if by_range else "gaussian"
    steps_per_epoch = -(-len(train) // config.batch_size)
    epochs = config.epochs or -(-DEFAULT_STEPS // steps_per_epoch)
    hidden = DEFAULT_HIDDEN[config.network] if config.hidden is None else config.hidden
    return config.model_copy(
        update={"scaling": scaling, "likelihood": likelihood, "epochs": epochs, "hidden": hidden}
    )


def _scaling(config: TrainConfig, train: TrainingSet) -> Scaling:
    """By range where the data has one, else to deviation 1, as far as the likelihood allows."""
    if config.scaling != "auto":
        return config.scaling
    preferred: Scaling = "standardise" if train.input.range is None else "range"
    allowed = SCALINGS.get(config.likelihood, (preferred,))
    return preferred if preferred in allowed else "none"
