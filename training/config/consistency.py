"""Checks of options against each other."""

from training.config.options import TrainConfig
from training.config.types import Scaling

SCALINGS: dict[str, tuple[Scaling, ...]] = {
    "bernoulli": ("range", "none"),
    "continuous-bernoulli": ("range", "none"),
    "gaussian": ("range", "standardise", "none"),
    "categorical": ("range",),
    "logistic": ("range",),
    "poisson": ("none",),
    "negative-binomial": ("none",),
}
"""What a likelihood can be on: 0 to 1, any real numbers, levels scaled to 0 to 1, counts."""


def _check_likelihood(config: TrainConfig) -> None:
    likelihood = config.likelihood
    mixed, real = likelihood == "logistic", likelihood in ("auto", "gaussian")
    _only(config, "logistics", mixed, f"the logistic likelihood, not {likelihood}")
    _only(config, "variance", real, f"the gaussian likelihood, not {likelihood}")
    for name in ("causal_channels", "causal_layers"):
        _only(config, name, config.causal_radius > 0, "a causal_radius, which is 0")
    allowed = SCALINGS.get(likelihood)
    if allowed and config.scaling not in ("auto", *allowed):
        raise ValueError(
            f"likelihood: {likelihood} goes with scaling {' or '.join(allowed)}, "
            f"not {config.scaling}"
        )


def _check_objective(config: TrainConfig) -> None:
    kind = config.objective
    several = kind in ("iwae", "dreg")
    _only(config, "free_bits", kind == "elbo", f"the elbo objective, not {kind}")
    _only(config, "capacity", kind == "elbo", f"the elbo objective, not {kind}")
    _only(config, "mmd_weight", kind == "mmd", f"the mmd objective, not {kind}")
    _only(config, "draws", several or kind == "elbo", f"elbo, iwae and dreg, not {kind}")
    _only(config, "capacity_epochs", config.capacity > 0, "a capacity, which is 0")
    if several and config.draws < 2:
        raise ValueError(f"draws: {kind} needs 2 or more, not {config.draws}")
    if config.free_bits and config.capacity:
        raise ValueError("capacity: give it or free_bits; each replaces the KL term")


def _check_schedules(config: TrainConfig) -> None:
    rises = config.kl_anneal_epochs > 0
    _only(config, "kl_schedule", rises, "kl_anneal_epochs, over which it rises, and these are 0")
    cyclical = config.kl_schedule == "cyclical"
    _only(config, "kl_cycles", cyclical, f"the cyclical kl_schedule, not {config.kl_schedule}")
    schedule = config.learning_rate_schedule
    for name in ("plateau_epochs", "plateau_factor"):
        reason = f"the plateau learning_rate_schedule, not {schedule}"
        _only(config, name, schedule == "plateau", reason)


def _only(config: TrainConfig, name: str, fits: bool, reason: str) -> None:
    """Refuse an option that would be read and have no effect."""
    if not fits and getattr(config, name) != TrainConfig.model_fields[name].default:
        raise ValueError(f"{name}: is for {reason}")
