"""The evidence lower bound, with beta, free bits and a capacity, in nats."""

from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor

from training.objectives.objective import Loss, draw
from training.objectives.schedules import Now
from vae.networks import VAE


class ELBO:
    """Reconstruction − β · KL (Kingma and Welling 2014; β: Higgins et al. 2017), a mean over draws.

    ``free_bits`` is the least KL that a latent is charged, in nats, of the mean over the batch
    (Kingma et al. 2016, equation 15): up to there information is free. With a capacity C the KL
    term is |KL − C| of the batch's mean (Burgess et al. 2018, equation 8).
    """

    def __init__(self, *, draws: int = 1, free_bits: float = 0.0, capacity: bool = False) -> None:
        self.noises = draws
        self.of_rows = not (free_bits or capacity)
        self._free_bits = free_bits
        self._capacity = capacity

    def __call__(self, vae: VAE, x: Tensor, eps: Tensor, now: Now) -> Loss:
        q = draw(vae, x, eps)
        kl = q.kl.mean(dim=0)
        if self._free_bits:
            kl = at_least(kl, vae.latents.parts, self._free_bits)
        charged = kl.sum()
        if self._capacity:
            charged = (charged - now.capacity).abs()
        return q.loss(now.beta * charged - q.log_px_z.mean())


def at_least(kl: Tensor, parts: Sequence[int], free_bits: float) -> Tensor:
    """The KL of each part, (parts,), and no less than what its latents have for free.

    Parts of as many latents go together: a tensor of what is free would come from the host.
    """
    runs = [(latents, len(list(same))) for latents, same in groupby(parts)]
    pieces = torch.split(kl, [length for _, length in runs])
    return torch.cat(
        [
            piece.clamp(min=free_bits * latents)
            for piece, (latents, _) in zip(pieces, runs, strict=True)
        ]
    )
