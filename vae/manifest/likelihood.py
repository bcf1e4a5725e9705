"""The section ``likelihood``: the family of p(x|z). The formulas are in ``vae/likelihoods/``."""

from typing import Annotated, Final, Literal

from pydantic import Field, PositiveInt

from vae.manifest.section import Section

PositiveVariance = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class BernoulliSpec(Section):
    """p(x|z) on values in [0, 1], from logits."""

    kind: Literal["bernoulli"] = "bernoulli"


class ContinuousBernoulliSpec(Section):
    """The Bernoulli likelihood with the constant that normalises it on [0, 1]."""

    kind: Literal["continuous-bernoulli"] = "continuous-bernoulli"


class GaussianSpec(Section):
    """p(x|z) = N(mean(z), σ²), where ``variance`` says what σ² is:

    - ``unit``: 1; a number: that number;
    - ``learned``: one parameter for all elements;
    - ``optimal``: one for all elements, the mean squared error;
    - ``per-element``: one parameter for each element;
    - ``decoder``: an output of the decoder beside the mean.
    """

    kind: Literal["gaussian"] = "gaussian"
    variance: Literal["unit", "learned", "optimal", "per-element", "decoder"] | PositiveVariance = (
        "unit"
    )


class CategoricalSpec(Section):
    """p(x|z) on the levels of the input, each with its own probability."""

    kind: Literal["categorical"] = "categorical"


class LogisticMixtureSpec(Section):
    """p(x|z) on the levels of the input: a mixture of ``components`` discretised logistics."""

    kind: Literal["logistic"] = "logistic"
    components: PositiveInt = 1


class PoissonSpec(Section):
    """p(x|z) on counts whose variance equals their mean."""

    kind: Literal["poisson"] = "poisson"


class NegativeBinomialSpec(Section):
    """p(x|z) on counts, with a dispersion learned for each element."""

    kind: Literal["negative-binomial"] = "negative-binomial"


LikelihoodSpec = Annotated[
    BernoulliSpec
    | ContinuousBernoulliSpec
    | GaussianSpec
    | CategoricalSpec
    | LogisticMixtureSpec
    | PoissonSpec
    | NegativeBinomialSpec,
    Field(discriminator="kind"),
]

LEVEL_LIKELIHOODS: Final = frozenset(("categorical", "logistic"))
"""Kinds that need integers of a known range, scaled to [0, 1]."""

COUNT_LIKELIHOODS: Final = frozenset(("poisson", "negative-binomial"))
"""Kinds that need counts without scaling."""


def has_parameter_per_element(likelihood: LikelihoodSpec) -> bool:
    """Whether the likelihood learns a parameter of its own for each element of x."""
    by_element = isinstance(likelihood, GaussianSpec) and likelihood.variance == "per-element"
    return by_element or isinstance(likelihood, NegativeBinomialSpec)
