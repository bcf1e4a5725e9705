"""The rows of a run, as its config has them."""

from training.config.options import TrainConfig
from training.data.binarise import binarised
from training.data.conditions import conditioned
from training.data.dataset import Dataset, TrainingSet, split
from training.data.load import load
from training.data.row_source import Rows
from training.data.sharded import Sharded
from training.errors import ConfigError
from vae.manifest import ModelSpec


def load_data(config: TrainConfig) -> tuple[TrainingSet, Dataset]:
    """The rows to train on, and those held out."""
    dataset = load(
        config.data,
        image_size=config.image_size,
        gray=config.gray,
        columns=config.columns,
        condition_columns=config.condition_columns,
    )
    train, held_out = _split(dataset, config)
    if config.binarise == "dynamic":
        held_out = binarised(held_out, config.seed)
    return train, held_out


def _split(dataset: Dataset | Sharded, config: TrainConfig) -> tuple[TrainingSet, Dataset]:
    if isinstance(dataset, Sharded):
        if config.binarise == "fixed":
            raise ConfigError("binarise: fixed keeps what it draws in memory; for shards, dynamic")
        return dataset.split(config.held_out, config.seed, config.shuffle_mib << 20)
    if config.binarise == "fixed":
        dataset = binarised(dataset, config.seed)
    return split(dataset, config.held_out, config.seed)


def training_rows(data: TrainingSet, spec: ModelSpec) -> Rows:
    """The training rows, with their conditions where the model has one; shards have none."""
    return conditioned(data, spec) if isinstance(data, Dataset) else data.rows
