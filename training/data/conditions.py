"""The labels of a data set as conditions of a model."""

import torch
from torch import Tensor
from torch.nn import functional as F

from training.data.dataset import DataError, Dataset, TrainingSet
from training.data.rows import InMemory
from vae.manifest import Classes, ModelSpec

MOST = 1000
"""Classes, each of which is an input of two networks: more are no labels but numbers."""


def classes(train: TrainingSet) -> Classes:
    """The classes that the labels are of, by the names that the source has, or as numbers.

    Raises DataError where there are no labels, as with shards, or not from 2 to MOST different
    ones.
    """
    if not isinstance(train, Dataset) or train.labels is None:
        raise DataError(
            "a conditional model needs labels: folders of images by class, an array y or labels "
            "beside x in an .npz file, or *-labels-idx1-ubyte beside the images of an IDX file; "
            "shards have none"
        )
    names = tuple(_name(train, value) for value in torch.unique(train.labels).tolist())
    if not 2 <= len(names) <= MOST:
        raise DataError(f"a conditional model needs 2 to {MOST} classes; there are {len(names)}")
    return Classes(names=names)


def conditioned(dataset: Dataset, spec: ModelSpec) -> InMemory:
    """The rows as training goes through them, each with its condition where the model has one.

    Raises DataError like ``conditions``.
    """
    return InMemory(dataset.x, conditions(dataset, spec))


def conditions(dataset: Dataset, spec: ModelSpec) -> Tensor | None:
    """c of each row, (rows, condition_dim), as the networks take it; None without a condition.

    Raises DataError for a label that is none of the model's classes.
    """
    if spec.condition is None:
        return None
    if dataset.labels is None:
        raise DataError("the model is conditional, and these rows have no labels")
    values, places = torch.unique(dataset.labels, return_inverse=True)
    names = [_name(dataset, value) for value in values.tolist()]
    if unknown := [name for name in names if name not in spec.condition.names]:
        raise DataError(f"labels {', '.join(unknown)}: no training row has them")
    order = torch.tensor([spec.condition.names.index(name) for name in names])
    return F.one_hot(order[places], spec.condition_dim).float()


def _name(dataset: Dataset, label: int) -> str:
    return dataset.classes[label] if dataset.classes else str(label)
