"""A loop that carries a state, in torch and, when a graph is exported, as one ONNX Scan."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

# A prototype of torch's without a public name; the export gate proves what becomes of it.
from torch._higher_order_ops.scan import scan as higher_order_scan

Step = Callable[..., tuple[Tensor, Tensor]]
"""State and one frame of each sequence, to the next state and an output."""


def scan(step: Step, state: Tensor, sequences: Sequence[Tensor]) -> Tensor:
    """The outputs of ``step`` along the first dimension of ``sequences``, stacked there.

    Traced step by step a long loop would be exported as that many copies of its body.
    """
    if torch.compiler.is_exporting():
        return _exported(step, state, sequences)
    outputs = []
    for frames in zip(*sequences, strict=True):
        state, output = step(state, *frames)
        outputs.append(output)
    return torch.stack(outputs)


def _exported(step: Step, state: Tensor, sequences: Sequence[Tensor]) -> Tensor:
    def body(state: Tensor, frames: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        state, output = step(state, *frames)
        return state, output.clone()  # the state may hold it, and the two may not be one

    outputs: Tensor = higher_order_scan(body, state, tuple(sequences))[1]
    return outputs
