"""The condition c of a conditional model: the labels or the condition columns of the data."""

import torch
from torch import Tensor
from torch.nn import functional as F

from training.data.dataset import DataError, Dataset, TrainingSet
from training.data.row_source import InMemoryRows
from training.data.scaling import standardisation_section
from vae.manifest import ClassCondition, Condition, ModelSpec, VectorCondition

MAX_CLASSES = 1000
"""Each class is an input of both networks. More classes are probably not labels but numbers."""


def condition_section(train: TrainingSet) -> Condition:
    """The condition section for this data: the condition columns if there are any, else the
    classes.

    Raises DataError if there are neither, as for shards.
    """
    if isinstance(train, Dataset) and train.c is not None:
        return VectorCondition(
            names=train.c_names, preprocessing=standardisation_section(iter((train.c,)))
        )
    if isinstance(train, Dataset) and train.labels is not None:
        return _classes(train, train.labels)
    raise DataError(
        "a conditional model needs labels or condition values: a folder of images with a subfolder "
        "per class; an .npz file with an array c of numbers, or y or labels of classes; an IDX "
        "file with a *-labels-idx1-ubyte file beside it; or a table and --condition-columns. "
        "Shards cannot have conditions"
    )


def with_conditions(dataset: Dataset, spec: ModelSpec) -> InMemoryRows:
    """The rows with their conditions, if the model has any. Raises like ``condition_tensor``."""
    return InMemoryRows(dataset.x, condition_tensor(dataset, spec))


def condition_tensor(dataset: Dataset, spec: ModelSpec) -> Tensor | None:
    """c of each row, (rows, condition_dim), as the graphs take it; None if the model has none.

    Raises DataError if the rows lack the model's condition columns or labels, or if a label is not
    one of its classes.
    """
    match spec.condition:
        case None:
            return None
        case VectorCondition(names=names):
            if dataset.c is None or dataset.c_names != names:
                found = ", ".join(dataset.c_names) or "nothing"
                raise DataError(
                    f"the model needs the condition {', '.join(names)}; these rows have {found}"
                )
            return dataset.c
        case ClassCondition(names=names):
            return _one_hot(dataset, names)


def _classes(train: Dataset, labels: Tensor) -> ClassCondition:
    """The classes of the labels, by name if the source has names, else by number."""
    names = tuple(_name(train, value) for value in torch.unique(labels).tolist())
    if not 2 <= len(names) <= MAX_CLASSES:
        raise DataError(
            f"a conditional model needs 2 to {MAX_CLASSES} classes; there are {len(names)}"
        )
    return ClassCondition(names=names)


def _one_hot(dataset: Dataset, classes: tuple[str, ...]) -> Tensor:
    """The one-hot encoded class of each row."""
    if dataset.labels is None:
        raise DataError("the model is conditional, but these rows have no labels")
    values, indices = torch.unique(dataset.labels, return_inverse=True)
    names = [_name(dataset, value) for value in values.tolist()]
    if unknown := [name for name in names if name not in classes]:
        raise DataError(
            f"labels {', '.join(unknown)}: the model has only the classes of the rows that it "
            f"was first trained on, {', '.join(classes):.200}"
        )
    order = torch.tensor([classes.index(name) for name in names])
    return F.one_hot(order[indices], len(classes)).float()


def _name(dataset: Dataset, label: int) -> str:
    return dataset.classes[label] if dataset.classes else str(label)
