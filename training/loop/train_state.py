"""What a step changes, and the step."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import nn

from training.config.options import TrainConfig
from training.loop.cuda_graph import CudaGraph, Replayed
from training.loop.ema import Average
from training.loop.optimiser import make_optimiser
from training.loop.precision import computing_in
from training.objectives.factory import objective as make_objective
from training.objectives.objective import Objective
from training.system.distributed import ALONE, Group
from vae.networks import VAE


@dataclass(frozen=True, eq=False)
class Learner:
    """A VAE, what it is trained for and how; a step changes ``parameters``.

    ``computed`` is the VAE in the precision of a step, ``replayed`` a step that is captured once.
    ``limits`` are those of the values that are binarised anew whenever they are shown.
    """

    vae: VAE
    computed: VAE
    objective: Objective
    optimiser: torch.optim.Optimizer
    average: Average | None
    group: Group
    replayed: Replayed | None
    parameters: tuple[nn.Parameter, ...]
    clip_norm: float
    limits: tuple[float, float] | None

    @classmethod
    def start(cls, vae: VAE, config: TrainConfig, *, rows: int, group: Group = ALONE) -> "Learner":
        """As a run on so many rows begins."""
        device = next(vae.parameters()).device
        return cls(
            vae=vae,
            computed=computing_in(config.precision, vae),
            objective=make_objective(config, rows),
            optimiser=make_optimiser(vae, config),
            average=Average(vae, config.ema) if config.ema else None,
            group=group,
            replayed=(
                Replayed(CudaGraph(device), config.batch_size) if config.cuda_graph else None
            ),
            parameters=_trained(vae.parameters()),
            clip_norm=config.clip_norm,
            limits=vae.spec.input.range if config.binarise == "dynamic" else None,
        )

    @property
    def judged(self) -> VAE:
        """The weights that are validated, kept and exported."""
        return self.average.vae if self.average else self.vae

    def split(self) -> tuple["Learner", "Learner"]:
        """The same for the encoder's parameters alone, and for all others."""
        encoder = _trained(self.vae.encoder.parameters())
        own = {id(parameter) for parameter in encoder}
        rest = tuple(each for each in self.parameters if id(each) not in own)
        return replace(self, parameters=encoder), replace(self, parameters=rest)


def _trained(parameters: Iterable[nn.Parameter]) -> tuple[nn.Parameter, ...]:
    return tuple(parameter for parameter in parameters if parameter.requires_grad)
