"""The importance-weighted bound with doubly reparameterised gradients, in nats."""

import torch
from torch import Tensor

from training.objectives.iwae import importance_weighted
from training.objectives.objective import Draws, Loss, draw
from training.objectives.schedules import Now
from vae.latents.gaussian import log_normal, log_standard_normal
from vae.networks import VAE


class DReG:
    """The bound of IWAE with doubly reparameterised gradients (Tucker et al. 2019, equation 8).

    The encoder's gradient goes through z alone, each draw's weighted by the square of its share,
    which keeps its signal as the number of draws grows; the decoder's is that of IWAE. For a
    diagonal posterior and the standard normal prior.

    While β weighs log q(z|x) − log p(z), the score that is reparameterised a second time has the
    weight β, too, and a draw's share s counts as (1 − β) s + β s², the square at β = 1.
    """

    of_rows = True

    def __init__(self, *, draws: int) -> None:
        self.noises = draws

    def __call__(self, vae: VAE, x: Tensor, eps: Tensor, now: Now) -> Loss:
        q = draw(vae, x, eps)
        log_weights = q.log_px_z - now.beta * _ratio_through_z(q)
        share = torch.softmax(log_weights.detach(), dim=0)
        if q.z.requires_grad:
            # The decoder's gradient at z is weighted by the share once, in the sum below.
            again = 1 - now.beta + now.beta * share
            q.z.register_hook(  # type: ignore[no-untyped-call]
                lambda gradient: gradient * again.unsqueeze(dim=2)
            )
        weighted = -(share * log_weights).sum(dim=0).mean()
        bound = importance_weighted(log_weights).mean()
        return q.loss(weighted - (weighted + bound).detach())


def _ratio_through_z(q: Draws) -> Tensor:
    """log q(z|x) − log p(z) as a function of z alone: mu and logvar are held fixed."""
    log_qz = log_normal(q.z, q.mu.detach(), q.logvar.detach())
    return (log_qz - log_standard_normal(q.z)).sum(dim=2)
