"""Small VAEs whose answers can be worked out, and what their training would report."""

import torch

from training.loop.metrics import EpochMetrics
from training.objectives.schedules import ScheduledValues
from vae.manifest import (
    GaussianMixtureSpec,
    GaussianSpec,
    InputSpec,
    LatentsSpec,
    MLPSpec,
    ModelSpec,
)
from vae.networks import VAE

STANDARD = LatentsSpec()


def gaussian_vae(size: int = 5, latent_dim: int = 3, latents: LatentsSpec = STANDARD) -> VAE:
    """A Gaussian VAE of ``size`` numbers with weights that are always the same."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return VAE(
            ModelSpec(
                input=InputSpec(kind="vector", shape=(size,), dtype="float32"),
                latent_dim=latent_dim,
                likelihood=GaussianSpec(variance="learned"),
                network=MLPSpec(hidden=(7,)),
                latents=latents,
            )
        )


def mixture_vae() -> VAE:
    """The same with a mixture of Gaussians as its prior."""
    return gaussian_vae(latents=LatentsSpec(prior=GaussianMixtureSpec(components=2)))


def now(beta: float = 1.0, capacity: float = 0.0) -> ScheduledValues:
    """A moment of a run."""
    return ScheduledValues(beta, capacity, learning_rate=1e-3)


def gradients(vae: VAE, loss: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The encoder's and the decoder's gradient of ``loss``, each as one long vector."""
    vae.zero_grad()
    loss.backward()
    return tuple(
        torch.cat([p.grad.flatten() for p in part.parameters() if p.grad is not None])
        for part in (vae.encoder, vae.decoder)
    )


def epoch_metrics(epoch: int) -> EpochMetrics:
    """An epoch's, of which the held-out ELBO is not finite."""
    return EpochMetrics(
        epoch=epoch,
        step=epoch,
        elbo=-1.0,
        reconstruction=-0.5,
        kl=0.5,
        loss=1.0,
        beta=1.0,
        learning_rate=1e-3,
        held_out_objective=-1.0,
        held_out_elbo=float("nan"),
        active_units=2,
        skipped=0,
        images_per_second=1234.0,
    )
