"""The section ``latents``: prior p(z), posterior q(z|x) and hierarchy.

The formulas are in ``vae/latents/``.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from vae.manifest.section import Section


class StandardNormalSpec(Section):
    """p(z) = N(0, I)."""

    kind: Literal["normal"] = "normal"


class GaussianMixtureSpec(Section):
    """p(z): a mixture of diagonal Gaussians, learned with the weights."""

    kind: Literal["mixture"] = "mixture"
    components: PositiveInt


class VampPriorSpec(Section):
    """p(z): a mixture of the posteriors of ``components`` learned pseudo-inputs."""

    kind: Literal["vamp"] = "vamp"
    components: PositiveInt


class DiagonalGaussianSpec(Section):
    """q(z|x) = N(mu, diag(σ²))."""

    kind: Literal["diagonal"] = "diagonal"


class AutoregressiveFlowSpec(Section):
    """q(z|x): a diagonal Gaussian transformed by ``layers`` inverse autoregressive steps.

    ``hidden`` is the width of each step's network.
    """

    kind: Literal["iaf"] = "iaf"
    layers: PositiveInt
    hidden: PositiveInt


class CouplingFlowSpec(Section):
    """q(z|x): a diagonal Gaussian transformed by ``layers`` affine coupling steps (RealNVP).

    ``hidden`` is the width of each step's network.
    """

    kind: Literal["realnvp"] = "realnvp"
    layers: PositiveInt
    hidden: PositiveInt


PriorSpec = Annotated[
    StandardNormalSpec | GaussianMixtureSpec | VampPriorSpec, Field(discriminator="kind")
]
PosteriorSpec = Annotated[
    DiagonalGaussianSpec | AutoregressiveFlowSpec | CouplingFlowSpec, Field(discriminator="kind")
]


class LadderSpec(Section):
    """A hierarchy of latents: z is the concatenation of ``layers``, given by their dimensions.

    The top layer comes first. Each lower layer has a Gaussian prior given the layers above it, from
    a network with one hidden layer of width ``hidden``.
    """

    layers: Annotated[tuple[PositiveInt, ...], Field(min_length=2)]
    hidden: PositiveInt


class LatentsSpec(Section):
    """p(z), and what the encoder's mu and logvar mean for z.

    With a ladder, ``prior`` and ``posterior`` are those of its top layer.
    """

    prior: PriorSpec = StandardNormalSpec()
    posterior: PosteriorSpec = DiagonalGaussianSpec()
    ladder: LadderSpec | None = None

    @property
    def closed_form(self) -> bool:
        """Whether draws and KL need no weights, so that the bundle has no graphs for them."""
        return self == LatentsSpec()

    @property
    def mu_is_mean(self) -> bool:
        """Whether the encoder's mu is E[z|x], so that mu can be decoded."""
        return isinstance(self.posterior, DiagonalGaussianSpec) and self.ladder is None

    @property
    def extra_noise(self) -> int:
        """How many noise numbers a draw of p(z) takes beyond one for each latent.

        A mixture takes one, the first, to choose a component.
        """
        return 0 if isinstance(self.prior, StandardNormalSpec) else 1

    @model_validator(mode="after")
    def _posterior_density_is_known(self) -> Self:
        diagonal = isinstance(self.posterior, DiagonalGaussianSpec)
        if isinstance(self.prior, VampPriorSpec) and not diagonal:
            raise ValueError(
                "the vamp prior needs a posterior with a density at any z, which is 'diagonal'; "
                f"given '{self.posterior.kind}', whose density is known only at its own draws. "
                "Use the mixture prior"
            )
        return self
