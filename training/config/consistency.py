"""Checks of options against each other. An option without effect is an error."""

from training.config.options import TrainOptions
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
"""The scalings that each likelihood allows."""


def check_consistency(options: TrainOptions) -> None:
    """Raise ValueError, with the option's name, if options contradict each other."""
    _check_network(options)
    _check_latents(options)
    _check_device(options)
    _check_likelihood(options)
    _check_objective(options)
    _check_schedules(options)


def _check_network(options: TrainOptions) -> None:
    if options.network == "conv" and options.hidden is not None and len(options.hidden) != 1:
        raise ValueError(f"hidden: the conv network takes one width, not {list(options.hidden)}")
    _require(options, "condition_columns", options.conditional, "conditional")


def _check_latents(options: TrainOptions) -> None:
    if options.prior == "normal" and options.prior_components is not None:
        raise ValueError("prior_components: the normal prior has no components")
    if options.posterior == "diagonal" and options.flow_layers is not None:
        raise ValueError("flow_layers: the diagonal posterior has no flow")
    plain = options.posterior == "diagonal" and options.ladder is None
    if plain and options.latents_hidden is not None:
        raise ValueError("latents_hidden: has an effect only with a flow or a ladder")


def _check_device(options: TrainOptions) -> None:
    if (options.precision, options.device) == ("tf32", "cpu"):
        raise ValueError("precision: a CPU does not support tf32")
    _require(options, "cuda_graph", options.device != "cpu", "device cuda")
    _require(options, "cuda_graph", not options.aggressive, "aggressive off")


def _check_likelihood(options: TrainOptions) -> None:
    likelihood = options.likelihood
    _require(options, "logistics", likelihood == "logistic", "the logistic likelihood")
    _require(options, "variance", likelihood in ("auto", "gaussian"), "the gaussian likelihood")
    for name in ("causal_channels", "causal_layers"):
        _require(options, name, options.causal_radius > 0, "a causal_radius above 0")
    allowed = SCALINGS.get(likelihood)
    if allowed and options.scaling not in ("auto", *allowed):
        raise ValueError(
            f"likelihood: {likelihood} needs scaling {' or '.join(allowed)}, not {options.scaling}"
        )


def _check_objective(options: TrainOptions) -> None:
    kind = options.objective
    several_draws = kind in ("iwae", "dreg")
    _require(options, "free_bits", kind == "elbo", "objective elbo")
    _require(options, "capacity", kind == "elbo", "objective elbo")
    _require(options, "mmd_weight", kind == "mmd", "objective mmd")
    _require(options, "draws", several_draws or kind == "elbo", "objective elbo, iwae or dreg")
    _require(options, "capacity_epochs", options.capacity > 0, "a capacity above 0")
    if several_draws and options.draws < 2:
        raise ValueError(f"draws: {kind} needs 2 or more, not {options.draws}")
    if options.free_bits and options.capacity:
        raise ValueError("capacity: cannot be combined with free_bits; each replaces the KL term")


def _check_schedules(options: TrainOptions) -> None:
    annealed = options.kl_anneal_epochs > 0
    _require(options, "kl_schedule", annealed, "kl_anneal_epochs above 0")
    _require(options, "kl_cycles", options.kl_schedule == "cyclical", "kl_schedule cyclical")
    plateau = options.learning_rate_schedule == "plateau"
    for name in ("plateau_epochs", "plateau_factor"):
        _require(options, name, plateau, "learning_rate_schedule plateau")


def _require(options: TrainOptions, name: str, condition: bool, needed: str) -> None:
    """Raise ValueError if an option is set but ``condition``, described by ``needed``, is false."""
    if not condition and getattr(options, name) != TrainOptions.model_fields[name].default:
        raise ValueError(f"{name}: has an effect only with {needed}")
