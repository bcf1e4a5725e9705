"""The state of training: the VAE, its objective, the optimiser and what a step needs besides."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import nn

from training.config.train_config import TrainConfig
from training.loop.cuda_graph import CapturedStep, CudaGraph
from training.loop.ema import EMA
from training.loop.optimiser import make_optimiser
from training.loop.precision import with_precision
from training.objectives.factory import make_objective
from training.objectives.objective import Objective
from training.system.distributed import SINGLE_PROCESS, ProcessGroup
from vae.networks import VAE


@dataclass(frozen=True, eq=False)
class TrainState:
    """A VAE, its objective and its optimiser. A training step changes ``parameters``.

    ``forward_vae`` shares the weights of ``vae`` and computes in the precision of training.
    ``binarise_range`` is the range of x if each batch is binarised anew, else None.
    ``captured_step`` is the step as a CUDA graph, if the options ask for one.
    """

    vae: VAE
    forward_vae: VAE
    objective: Objective
    optimiser: torch.optim.Optimizer
    ema: EMA | None
    group: ProcessGroup
    captured_step: CapturedStep | None
    parameters: tuple[nn.Parameter, ...]
    clip_norm: float
    binarise_range: tuple[float, float] | None

    @classmethod
    def create(
        cls, vae: VAE, config: TrainConfig, *, rows: int, group: ProcessGroup = SINGLE_PROCESS
    ) -> "TrainState":
        """The state at the start of a run on ``rows`` training rows."""
        graph = CudaGraph(next(vae.parameters()).device) if config.cuda_graph else None
        return cls(
            vae=vae,
            forward_vae=with_precision(config.precision, vae),
            objective=make_objective(config, rows),
            optimiser=make_optimiser(vae, config),
            ema=EMA(vae, config.ema) if config.ema else None,
            group=group,
            captured_step=CapturedStep(graph, config.batch_size) if graph else None,
            parameters=_trainable(vae.parameters()),
            clip_norm=config.clip_norm,
            binarise_range=vae.spec.input.range if config.binarise == "dynamic" else None,
        )

    @property
    def eval_vae(self) -> VAE:
        """The weights to validate, keep and export: the EMA's if there is one."""
        return self.ema.vae if self.ema else self.vae

    def split(self) -> tuple["TrainState", "TrainState"]:
        """Two states that share everything: one steps the encoder only, one everything else."""
        encoder = _trainable(self.vae.encoder.parameters())
        ids = {id(parameter) for parameter in encoder}
        rest = tuple(each for each in self.parameters if id(each) not in ids)
        return replace(self, parameters=encoder), replace(self, parameters=rest)


def _trainable(parameters: Iterable[nn.Parameter]) -> tuple[nn.Parameter, ...]:
    return tuple(parameter for parameter in parameters if parameter.requires_grad)
