"""The labels of a data set, or the numbers beside its rows, as conditions of a model."""

import torch
from torch import Tensor
from torch.nn import functional as F

from training.data.dataset import DataError, Dataset, TrainingSet
from training.data.row_source import InMemory
from training.data.scaling import standardising
from vae.manifest import Classes, Condition, ModelSpec, Vector

MOST = 1000
"""Classes, each of which is an input of two networks: more are no labels but numbers."""


def condition_of(train: TrainingSet) -> Condition:
    """What a model of this data is told: the numbers beside x where there are some, else the class.

    Raises DataError where there is neither, as with shards.
    """
    if isinstance(train, Dataset) and train.c is not None:
        return Vector(names=train.c_names, preprocessing=standardising(iter((train.c,))))
    if isinstance(train, Dataset) and train.labels is not None:
        return _classes(train, train.labels)
    raise DataError(
        "a conditional model needs labels or numbers beside x: folders of images by class, an "
        "array c of numbers, or y or labels of classes, in an .npz file, *-labels-idx1-ubyte "
        "beside the images of an IDX file, or --condition-columns of a table; shards have none"
    )


def conditioned(dataset: Dataset, spec: ModelSpec) -> InMemory:
    """The rows as training goes through them, each with its condition where the model has one.

    Raises DataError like ``conditions``.
    """
    return InMemory(dataset.x, conditions(dataset, spec))


def conditions(dataset: Dataset, spec: ModelSpec) -> Tensor | None:
    """c of each row, (rows, condition_dim), as the graphs take it; None without a condition.

    Raises DataError for rows without what the model is told, and for a label that is none of its
    classes.
    """
    match spec.condition:
        case None:
            return None
        case Vector(names=names):
            if dataset.c is None or dataset.c_names != names:
                given = ", ".join(dataset.c_names) or "nothing"
                raise DataError(
                    f"the model is told {', '.join(names)} with each row; these have {given}"
                )
            return dataset.c
        case Classes(names=names):
            return _places(dataset, names)


def _classes(train: Dataset, labels: Tensor) -> Classes:
    """The classes of the labels, by the names that the source has, or as numbers."""
    names = tuple(_name(train, value) for value in torch.unique(labels).tolist())
    if not 2 <= len(names) <= MOST:
        raise DataError(f"a conditional model needs 2 to {MOST} classes; there are {len(names)}")
    return Classes(names=names)


def _places(dataset: Dataset, classes: tuple[str, ...]) -> Tensor:
    """1 at the place of each row's class and 0 elsewhere."""
    if dataset.labels is None:
        raise DataError("the model is conditional, and these rows have no labels")
    values, places = torch.unique(dataset.labels, return_inverse=True)
    names = [_name(dataset, value) for value in values.tolist()]
    if unknown := [name for name in names if name not in classes]:
        raise DataError(
            f"labels {', '.join(unknown)}: the model has only those of the rows that it was first "
            f"trained on, {', '.join(classes):.200}"
        )
    order = torch.tensor([classes.index(name) for name in names])
    return F.one_hot(order[places], len(classes)).float()


def _name(dataset: Dataset, label: int) -> str:
    return dataset.classes[label] if dataset.classes else str(label)
