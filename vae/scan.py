"""A loop with a state, like ``jax.lax.scan``: a Python loop, or one ONNX Scan when exported."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

# A prototype of torch without a public name. The export gate compares the exported graph with
# torch.
from torch._higher_order_ops.scan import scan as higher_order_scan

Step = Callable[..., tuple[Tensor, Tensor]]
"""(state, one frame of each sequence) to (next state, output)."""


def scan(step: Step, state: Tensor, sequences: Sequence[Tensor]) -> Tensor:
    """Run ``step`` along the first dimension of ``sequences`` and stack its outputs there.

    All ``sequences`` have the same length. Without the Scan operator an exported graph would hold a
    copy of the body for each iteration.
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
        return state, output.clone()  # output may alias the state, which the operator forbids

    outputs: Tensor = higher_order_scan(body, state, tuple(sequences))[1]
    return outputs
