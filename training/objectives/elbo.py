"""The evidence lower bound (ELBO), with β, free bits or a capacity, in nats."""

from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor

from training.objectives.objective import Loss, sample_posterior
from training.objectives.schedules import ScheduledValues
from vae.networks import VAE


class ELBO:
    """Reconstruction − β · KL (Kingma and Welling 2014; β: Higgins et al. 2017), a mean over draws.

    With ``free_bits``, each latent is charged at least that KL, in nats of the batch's mean
    (Kingma et al. 2016, equation 15), so information up to there costs nothing. With a capacity C,
    the KL term is |KL − C| of the batch's mean (Burgess et al. 2018, equation 8).
    """

    def __init__(self, *, draws: int = 1, free_bits: float = 0.0, capacity: bool = False) -> None:
        self.noise_samples = draws
        self.averages_rows = not (free_bits or capacity)
        self._free_bits = free_bits
        self._capacity = capacity

    def __call__(self, vae: VAE, x: Tensor, eps: Tensor, scheduled: ScheduledValues) -> Loss:
        q = sample_posterior(vae, x, eps)
        kl = q.kl.mean(dim=0)
        if self._free_bits:
            kl = apply_free_bits(kl, vae.latents.parts, self._free_bits)
        charged = kl.sum()
        if self._capacity:
            charged = (charged - scheduled.capacity).abs()
        return q.to_loss(scheduled.beta * charged - q.log_px_z.mean())


def apply_free_bits(kl: Tensor, parts: Sequence[int], free_bits: float) -> Tensor:
    """The KL of each part, (parts,), but at least ``free_bits`` nats for each of its latents.

    Parts with the same number of latents are clamped together, because a tensor of thresholds would
    have to be copied from the host in every step.
    """
    runs = [(latents, len(list(same))) for latents, same in groupby(parts)]
    pieces = torch.split(kl, [length for _, length in runs])
    return torch.cat(
        [
            piece.clamp(min=free_bits * latents)
            for piece, (latents, _) in zip(pieces, runs, strict=True)
        ]
    )
