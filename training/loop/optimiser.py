"""AdamW, and the step that leaves everything alone when a loss or gradient is not finite."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from training.config.options import TrainConfig
from training.system.distributed import ALONE, Group
from vae.networks import VAE

LIKELIHOOD_RATE = 10.0
"""Times the learning rate for the likelihood's own parameters. Adam moves a parameter by about the
learning rate a step, and a log variance has far to go: without this it lags for thousands of steps.
"""


def make_optimiser(vae: VAE, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW in its fused form: one kernel a step, which can also skip a step by itself."""
    own = {id(parameter) for parameter in vae.likelihood.own_parameters()}
    trained = [parameter for parameter in vae.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trained if id(p) not in own], "rate": 1.0},
        {
            "params": [p for p in trained if id(p) in own],
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


def descend(
    optimiser: torch.optim.Optimizer,
    loss: Tensor,
    parameters: Iterable[nn.Parameter],
    sums: Tensor,
    *,
    learning_rate: float | Tensor,
    clip_norm: float,
    group: Group = ALONE,
) -> Tensor:
    """Take one step of those ``parameters`` that are trained down ``loss``, or none where something
    is not finite.

    The losses of ``group`` add up, and so do ``sums``, in place. Returns whether the step was
    skipped, a scalar tensor on the device. Parameters that are not named keep their values and the
    optimiser's state.
    """
    parameters = [parameter for parameter in parameters if parameter.requires_grad]
    optimiser.zero_grad()
    loss.backward(inputs=parameters)  # type: ignore[no-untyped-call]
    group.add([sums, *(p.grad for p in parameters if p.grad is not None)])
    norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    bad = ~(torch.isfinite(norm) & torch.isfinite(sums).all())
    for settings in optimiser.param_groups:
        settings["lr"] = learning_rate * settings["rate"]
    # The fused optimisers divide the gradient by grad_scale and leave weights and state alone where
    # found_inf is 1. This is how torch.amp.GradScaler skips a step without asking the device; here
    # it also saves clipping a pass over the gradient.
    optimiser.found_inf = bad.float()  # type: ignore[attr-defined]
    optimiser.grad_scale = (norm / clip_norm).clamp(min=1.0)  # type: ignore[attr-defined]
    optimiser.step()
    return bad
