"""All sections that define a model, and the rules for combining them."""

from typing import Self

from pydantic import PositiveInt, model_validator

from vae.graphs import CONDITION, GRAPHS, LATENT_GRAPHS, Graph
from vae.manifest.condition import Condition
from vae.manifest.input import InputSpec
from vae.manifest.latents import LatentsSpec, VampPriorSpec
from vae.manifest.likelihood import (
    COUNT_LIKELIHOODS,
    LEVEL_LIKELIHOODS,
    LikelihoodSpec,
    has_parameter_per_element,
)
from vae.manifest.network import AutoregressionSpec, NetworkSpec
from vae.manifest.preprocessing import Preprocessing
from vae.manifest.section import Section

MIN_CONV_SIZE = 8


class ModelSpec(Section):
    """Everything that ``vae.networks.VAE`` is built from."""

    input: InputSpec
    preprocessing: Preprocessing = Preprocessing()
    latent_dim: PositiveInt
    likelihood: LikelihoodSpec
    network: NetworkSpec
    latents: LatentsSpec = LatentsSpec()
    autoregression: AutoregressionSpec | None = None
    condition: Condition | None = None

    @property
    def condition_dim(self) -> int:
        """The number of elements of a row's condition c; 0 for a model without condition."""
        return len(self.condition.names) if self.condition else 0

    @property
    def noise_dim(self) -> int:
        """How many N(0, 1) numbers a draw of p(z) takes."""
        return self.latent_dim + self.latents.extra_noise

    @property
    def graphs(self) -> tuple[Graph, ...]:
        """The graphs in a bundle of this model."""
        networks = GRAPHS
        if self.condition:
            networks = tuple(graph.with_input(CONDITION) for graph in GRAPHS)
        return networks if self.latents.closed_form else networks + LATENT_GRAPHS

    @property
    def row_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of one row of each array in ``vae.graphs``, by its name."""
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("x", "mean"), self.input.shape)
        shapes |= dict.fromkeys(("mu", "logvar", "eps", "z", "latents"), (self.latent_dim,))
        shapes |= dict.fromkeys(("log_px_z", "kl", "temperature"), ())
        return {**shapes, "noise": (self.noise_dim,), CONDITION: (self.condition_dim,)}

    @model_validator(mode="after")
    def _preprocessing_fits(self) -> Self:
        for field in ("shift", "scale"):
            given = len(getattr(self.preprocessing, field))
            if given not in (1, self.input.size):
                raise ValueError(
                    f"preprocessing.{field} has {given} values; "
                    f"expected 1 or {self.input.size}, one for each element of {self.input.shape}"
                )
        return self

    @model_validator(mode="after")
    def _latents_fit(self) -> Self:
        if self.condition and isinstance(self.latents.prior, VampPriorSpec):
            raise ValueError(
                "a conditional model cannot have the vamp prior, whose pseudo-inputs have no "
                "condition; use the mixture prior"
            )
        if (ladder := self.latents.ladder) and sum(ladder.layers) != self.latent_dim:
            raise ValueError(
                f"the ladder's layers {list(ladder.layers)} have {sum(ladder.layers)} dimensions "
                f"together; latent_dim is {self.latent_dim}"
            )
        return self

    @model_validator(mode="after")
    def _network_fits(self) -> Self:
        if self.network.kind != "conv":
            return self
        if self.input.kind != "image":
            raise ValueError("the conv network needs images; the input is a vector")
        if min(self.input.shape[:2]) < MIN_CONV_SIZE:
            raise ValueError(
                f"the conv network needs images of {MIN_CONV_SIZE}×{MIN_CONV_SIZE} or more; "
                f"given {self.input.shape}"
            )
        return self

    @model_validator(mode="after")
    def _likelihood_fits(self) -> Self:
        kind = self.likelihood.kind
        if kind in LEVEL_LIKELIHOODS:
            self._check_levels()
        if kind in COUNT_LIKELIHOODS and self.preprocessing != Preprocessing():
            raise ValueError(
                f"likelihood {kind} needs counts without scaling; "
                f"given shift {self.preprocessing.shift} and scale {self.preprocessing.scale}"
            )
        return self

    def _check_levels(self) -> None:
        kind = self.likelihood.kind
        if self.input.levels is None or self.input.range is None:
            raise ValueError(
                f"likelihood {kind} needs integers of a known range, stored as uint8; "
                f"the input is {self.input.dtype} with range {self.input.range}"
            )
        low, high = self.input.range
        if self.preprocessing != Preprocessing(shift=(low,), scale=(high - low,)):
            raise ValueError(
                f"likelihood {kind} needs the range {self.input.range} scaled to [0, 1], by shift "
                f"{low:g} and scale {high - low:g}; given shift {self.preprocessing.shift} and "
                f"scale {self.preprocessing.scale}"
            )

    @model_validator(mode="after")
    def _autoregression_fits(self) -> Self:
        if self.autoregression is None:
            return self
        radius = self.autoregression.radius
        if self.input.kind != "image":
            raise ValueError("autoregression is over the pixels of an image; the input is a vector")
        if radius >= min(self.input.shape[:2]):
            raise ValueError(
                f"autoregression of radius {radius} needs images of {radius + 1}×{radius + 1} or "
                f"more; given {self.input.shape}"
            )
        if has_parameter_per_element(self.likelihood):
            raise ValueError(
                "autoregression needs a likelihood that is the same for all pixels; "
                f"{self.likelihood.kind} learns a parameter for each element"
            )
        return self
