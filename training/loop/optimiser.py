"""AdamW, and an update that is skipped if a loss or gradient is not finite."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from training.config.train_config import TrainConfig
from training.system.distributed import SINGLE_PROCESS, ProcessGroup
from vae.networks import VAE

LIKELIHOOD_RATE = 10.0
"""Factor on the learning rate for the likelihood's own parameters. Adam moves a parameter by about
the learning rate per step; without the factor a log variance needs thousands of steps to converge.
"""


def make_optimiser(vae: VAE, config: TrainConfig) -> torch.optim.AdamW:
    """Fused AdamW: one kernel per step, which can also skip a step on the device."""
    likelihood = {id(parameter) for parameter in vae.likelihood.own_parameters()}
    trainable = [parameter for parameter in vae.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trainable if id(p) not in likelihood], "rate": 1.0},
        {
            "params": [p for p in trainable if id(p) in likelihood],
            "rate": LIKELIHOOD_RATE,
            "weight_decay": 0.0,
        },
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=config.learning_rate,
        betas=config.adam_betas,
        eps=config.adam_epsilon,
        weight_decay=config.weight_decay,
        fused=True,
        capturable=config.cuda_graph,
    )


def optimiser_step(
    optimiser: torch.optim.Optimizer,
    loss: Tensor,
    parameters: Iterable[nn.Parameter],
    sums: Tensor,
    *,
    learning_rate: float | Tensor,
    clip_norm: float,
    group: ProcessGroup = SINGLE_PROCESS,
) -> Tensor:
    """Backpropagate ``loss`` and update ``parameters``, unless a loss or gradient is not finite.

    Gradients and ``sums`` are added up over the processes of ``group``, ``sums`` in place. Returns
    whether the step was skipped, as a scalar tensor on the device. All other parameters keep their
    values and their optimiser state.
    """
    parameters = [parameter for parameter in parameters if parameter.requires_grad]
    optimiser.zero_grad()
    loss.backward(inputs=parameters)  # type: ignore[no-untyped-call]
    group.all_reduce([sums, *(p.grad for p in parameters if p.grad is not None)])
    norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    skipped = ~(torch.isfinite(norm) & torch.isfinite(sums).all())
    for settings in optimiser.param_groups:
        settings["lr"] = learning_rate * settings["rate"]
    # Fused optimisers divide the gradient by grad_scale and leave weights and state unchanged if
    # found_inf is 1. torch.amp.GradScaler skips steps in the same way, without waiting for the
    # device. Clipping by grad_scale also saves a pass over the gradient.
    optimiser.found_inf = skipped.float()  # type: ignore[attr-defined]
    optimiser.grad_scale = (norm / clip_norm).clamp(min=1.0)  # type: ignore[attr-defined]
    optimiser.step()
    return skipped
