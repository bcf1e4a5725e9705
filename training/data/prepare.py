"""Load the training rows and the held-out rows of a run."""

from training.config.train_config import TrainConfig
from training.data.binarise import binarise_dataset
from training.data.conditions import with_conditions
from training.data.dataset import Dataset, TrainingSet, split_dataset
from training.data.load import load_dataset
from training.data.row_source import RowSource
from training.data.sharded import ShardedDataset
from training.errors import ConfigError
from vae.manifest import ModelSpec


def load_data(config: TrainConfig) -> tuple[TrainingSet, Dataset]:
    """The training rows and the held-out rows that the options describe."""
    dataset = load_dataset(
        config.data,
        image_size=config.image_size,
        gray=config.gray,
        columns=config.columns,
        condition_columns=config.condition_columns,
    )
    train, held_out = _split(dataset, config)
    if config.binarise == "dynamic":
        held_out = binarise_dataset(held_out, config.seed)
    return train, held_out


def _split(dataset: Dataset | ShardedDataset, config: TrainConfig) -> tuple[TrainingSet, Dataset]:
    if isinstance(dataset, ShardedDataset):
        if config.binarise == "fixed":
            raise ConfigError(
                "binarise: fixed needs the data in memory; use dynamic for a folder of shards"
            )
        return dataset.split(config.held_out, config.seed, config.shuffle_mib << 20)
    if config.binarise == "fixed":
        dataset = binarise_dataset(dataset, config.seed)
    return split_dataset(dataset, config.held_out, config.seed)


def training_rows(data: TrainingSet, spec: ModelSpec) -> RowSource:
    """The training rows, with their conditions if the model has any; shards have none."""
    return with_conditions(data, spec) if isinstance(data, Dataset) else data.rows
