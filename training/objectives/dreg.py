"""The importance-weighted bound with doubly reparameterised gradients, in nats."""

import torch
from torch import Tensor

from training.objectives.iwae import importance_weighted_bound
from training.objectives.objective import Loss, PosteriorSamples, sample_posterior
from training.objectives.schedules import ScheduledValues
from vae.latents.diagonal_gaussian import log_normal, log_standard_normal
from vae.networks import VAE


class DReG:
    """The bound of IWAE with doubly reparameterised gradients (Tucker et al. 2019, equation 8).

    The encoder's gradient passes through z only. The gradient of each draw is weighted by the
    square of its normalised weight, so that the signal does not vanish as the number of draws
    grows. The decoder's gradient is that of IWAE. The posterior must be diagonal, the prior
    standard normal.

    With β, which multiplies log q(z|x) − log p(z), the second reparameterisation has the weight β,
    too: a draw's normalised weight s becomes (1 − β) s + β s².
    """

    averages_rows = True

    def __init__(self, *, draws: int) -> None:
        self.noise_samples = draws

    def __call__(self, vae: VAE, x: Tensor, eps: Tensor, scheduled: ScheduledValues) -> Loss:
        q = sample_posterior(vae, x, eps)
        log_weights = q.log_px_z - scheduled.beta * _ratio_through_z(q)
        share = torch.softmax(log_weights.detach(), dim=0)
        if q.z.requires_grad:
            # The sum below already weights the gradient at z by the share once.
            again = 1 - scheduled.beta + scheduled.beta * share
            q.z.register_hook(  # type: ignore[no-untyped-call]
                lambda gradient: gradient * again.unsqueeze(dim=2)
            )
        weighted = -(share * log_weights).sum(dim=0).mean()
        bound = importance_weighted_bound(log_weights).mean()
        return q.to_loss(weighted - (weighted + bound).detach())


def _ratio_through_z(q: PosteriorSamples) -> Tensor:
    """log q(z|x) − log p(z) as a function of z; mu and logvar are constants."""
    log_qz = log_normal(q.z, q.mu.detach(), q.logvar.detach())
    return (log_qz - log_standard_normal(q.z)).sum(dim=2)
