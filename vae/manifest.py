"""The manifest: everything that training decided and a server must know.

One schema, read on both sides of the bundle. Unknown fields, an unknown schema version and file
names that do not belong in a bundle are refused. Imports no torch.
"""

import hashlib
import json
import math
from typing import Annotated, Final, Literal, Self, get_args

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    NonNegativeInt,
    PositiveInt,
    StringConstraints,
    model_validator,
)

from vae.graphs import CONDITION, GRAPHS, LATENT_GRAPHS, Graph

SCHEMA_VERSION: Final = 1

ModelName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
PositiveVariance = Annotated[float, Field(gt=0, allow_inf_nan=False)]
FileName = Literal[
    "checkpoint.safetensors",
    "encoder.onnx",
    "decoder.onnx",
    "scorer.onnx",
    "posterior.onnx",
    "prior.onnx",
    "golden.npz",
    "calibration.npz",
    "README.md",
    "samples.png",
    "reconstructions.png",
]
FOR_PEOPLE: Final[frozenset[FileName]] = frozenset(
    ("README.md", "samples.png", "reconstructions.png")
)
OF_SOME_MODELS: Final[frozenset[FileName]] = frozenset(("posterior.onnx", "prior.onnx"))
REQUIRED_FILES: Final[frozenset[FileName]] = (
    frozenset(get_args(FileName)) - FOR_PEOPLE - OF_SOME_MODELS
)


class Section(BaseModel):
    """A part of the manifest: immutable, and closed to fields that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class InputSpec(Section):
    """What one row of x looks like, in the units of the data as the client has them.

    ``shape`` is (H, W) or (H, W, 3) for an image, channels last as in a PNG, and (D,) for a vector.
    ``dtype`` is that of the training data. ``range`` is (low, high) of a value where it is bounded:
    a picture's black and white. ``columns`` names the elements of a vector from a table.
    """

    kind: Literal["image", "vector"]
    shape: Annotated[tuple[PositiveInt, ...], Field(min_length=1, max_length=3)]
    dtype: Literal["uint8", "float32"]
    range: tuple[FiniteFloat, FiniteFloat] | None = None
    columns: tuple[str, ...] | None = None

    @property
    def size(self) -> int:
        """The number of elements in one row."""
        return math.prod(self.shape)

    @property
    def levels(self) -> int | None:
        """How many values an element can have, where they are whole numbers of a known range."""
        if self.dtype != "uint8" or self.range is None:
            return None
        return round(self.range[1] - self.range[0]) + 1

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.kind == "vector" and len(self.shape) != 1:
            raise ValueError(f"a vector has one dimension; shape is {self.shape}")
        if self.kind == "image" and not (len(self.shape) == 2 or self.shape[2:] == (3,)):
            raise ValueError(f"an image is (H, W) or (H, W, 3); shape is {self.shape}")
        if self.range is not None and self.range[0] >= self.range[1]:
            raise ValueError(f"range must be (low, high) with low < high, not {self.range}")
        if self.columns is not None and (len(self.columns),) != self.shape:
            raise ValueError(f"{len(self.columns)} columns are named; shape is {self.shape}")
        return self


class Preprocessing(Section):
    """The affine map inside the graphs: x ↦ (x − shift) / scale.

    Each is one number for all elements or one for each element of a flattened row.
    """

    shift: Annotated[tuple[FiniteFloat, ...], Field(min_length=1)] = (0.0,)
    scale: Annotated[tuple[FiniteFloat, ...], Field(min_length=1)] = (1.0,)

    @model_validator(mode="after")
    def _scale_is_positive(self) -> Self:
        if min(self.scale) <= 0:
            raise ValueError(f"scale must be positive; its smallest value is {min(self.scale)}")
        return self


Activation = Literal["relu", "tanh", "gelu", "silu", "gated"]


class LayerSpec(Section):
    """What the hidden layers of encoder and decoder are: the activation, where ``gated`` is that of
    vae.layers, and how many residual blocks follow each layer.
    """

    activation: Activation = "relu"
    residual_blocks: NonNegativeInt = 0


class MLPSpec(LayerSpec):
    """Fully connected encoder and decoder; ``hidden`` widths from x to z, reversed to decode."""

    kind: Literal["mlp"] = "mlp"
    hidden: tuple[PositiveInt, ...] = (128,)


class ConvSpec(LayerSpec):
    """Convolutional encoder and decoder; each of ``channels`` halves the height and the width.

    ``hidden`` is the width of the fully connected layer between the convolutions and z.
    """

    kind: Literal["conv"] = "conv"
    channels: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (32, 64)
    hidden: PositiveInt = 256


class AutoregressionSpec(Section):
    """p(x|z) = Π p(x_i | x_<i, z): pixels depend on those before them as well as on z.

    ``radius`` is how many rows above and columns to either side they see. ``features`` are the
    numbers for each element that the decoder puts out in place of the likelihood's parameters;
    ``channels`` is the width of the ``layers`` that make these of both.
    """

    radius: PositiveInt = 3
    features: PositiveInt = 8
    channels: PositiveInt = 32
    layers: NonNegativeInt = 2


class BernoulliSpec(Section):
    """p(x|z) on values in [0, 1], from logits."""

    kind: Literal["bernoulli"] = "bernoulli"


class ContinuousBernoulliSpec(Section):
    """The same with the constant that normalises it on [0, 1]."""

    kind: Literal["continuous-bernoulli"] = "continuous-bernoulli"


class GaussianSpec(Section):
    """p(x|z) = N(mean(z), σ²), where σ² is

    ``unit``, 1, or another number; ``learned``, one for all elements; ``optimal``, one for all in
    closed form; ``per-element``, learned for each; ``decoder``, put out beside the mean.
    """

    kind: Literal["gaussian"] = "gaussian"
    variance: Literal["unit", "learned", "optimal", "per-element", "decoder"] | PositiveVariance = (
        "unit"
    )


class CategoricalSpec(Section):
    """p(x|z) on the levels of the input, each with a probability of its own."""

    kind: Literal["categorical"] = "categorical"


class LogisticMixtureSpec(Section):
    """p(x|z) on the levels of the input: a mixture of that many discretised logistics."""

    kind: Literal["logistic"] = "logistic"
    components: PositiveInt = 1


class PoissonSpec(Section):
    """p(x|z) on counts, whose mean is their variance."""

    kind: Literal["poisson"] = "poisson"


class NegativeBinomialSpec(Section):
    """p(x|z) on counts, with a dispersion learned for each element."""

    kind: Literal["negative-binomial"] = "negative-binomial"


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
    """q(z|x): the diagonal Gaussian through steps of inverse autoregressive flow."""

    kind: Literal["iaf"] = "iaf"
    layers: PositiveInt
    hidden: PositiveInt


class CouplingFlowSpec(Section):
    """q(z|x): the diagonal Gaussian through coupling steps, as those of RealNVP."""

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
    """z in ``layers`` side by side, the top one first: their dimensions.

    Each layer below the top has a Gaussian prior given those above it, from a network with one
    layer of width ``hidden``.
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
        """Whether the encoder's mu is E[z|x], a point that the decoder understands."""
        return isinstance(self.posterior, DiagonalGaussianSpec) and self.ladder is None

    @property
    def extra_noise(self) -> int:
        """Numbers of noise that a draw of p(z) takes beyond one for each latent.

        A mixture takes one, the first, to choose a component.
        """
        return 0 if isinstance(self.prior, StandardNormalSpec) else 1

    @model_validator(mode="after")
    def _densities_are_known(self) -> Self:
        if isinstance(self.prior, VampPriorSpec) and not isinstance(
            self.posterior, DiagonalGaussianSpec
        ):
            raise ValueError(
                f"the vamp prior asks for the posterior's density at any z, and that of "
                f"{self.posterior.kind} is known at its own draws alone; take the mixture prior"
            )
        return self


NetworkSpec = Annotated[MLPSpec | ConvSpec, Field(discriminator="kind")]
LEVEL_LIKELIHOODS: Final = frozenset(("categorical", "logistic"))
COUNT_LIKELIHOODS: Final = frozenset(("poisson", "negative-binomial"))
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


def _learns_each_element(likelihood: LikelihoodSpec) -> bool:
    by_element = isinstance(likelihood, GaussianSpec) and likelihood.variance == "per-element"
    return by_element or isinstance(likelihood, NegativeBinomialSpec)


class ClassCondition(Section):
    """A condition c that is one of ``names``: 1 at its place among them and 0 elsewhere."""

    kind: Literal["classes"] = "classes"
    names: Annotated[tuple[str, ...], Field(min_length=2)]

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len(set(self.names)) < len(self.names):
            raise ValueError("the names of classes must be distinct")
        return self


class VectorCondition(Section):
    """A condition c of one number for each of ``names``, in units of the data."""

    kind: Literal["vector"] = "vector"
    names: Annotated[tuple[str, ...], Field(min_length=1)]
    preprocessing: Preprocessing = Preprocessing()

    @model_validator(mode="after")
    def _one_for_each(self) -> Self:
        shift, scale = self.preprocessing.shift, self.preprocessing.scale
        if not all(len(values) in (1, len(self.names)) for values in (shift, scale)):
            raise ValueError("a condition is scaled by one number or by one for each of its names")
        return self


Condition = Annotated[ClassCondition | VectorCondition, Field(discriminator="kind")]


class ModelSpec(Section):
    """All that is needed to build the networks."""

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
        """Numbers of a row's condition c; 0 for a model without one."""
        return len(self.condition.names) if self.condition else 0

    @property
    def noise_dim(self) -> int:
        """The N(0, 1) numbers that a draw of p(z) takes."""
        return self.latent_dim + self.latents.extra_noise

    @property
    def graphs(self) -> tuple[Graph, ...]:
        """Those in a bundle of this model."""
        networks = GRAPHS
        if self.condition:
            networks = tuple(graph.with_input(CONDITION) for graph in GRAPHS)
        return networks if self.latents.closed_form else networks + LATENT_GRAPHS

    @property
    def row_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of one row of each array in vae.graphs, by its name."""
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("x", "mean"), self.input.shape)
        shapes |= dict.fromkeys(("mu", "logvar", "eps", "z", "latents"), (self.latent_dim,))
        shapes |= dict.fromkeys(("log_px_z", "kl", "temperature"), ())
        return {**shapes, "noise": (self.noise_dim,), CONDITION: (self.condition_dim,)}

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        for name, values in (
            ("shift", self.preprocessing.shift),
            ("scale", self.preprocessing.scale),
        ):
            if len(values) not in (1, self.input.size):
                raise ValueError(
                    f"preprocessing.{name} has {len(values)} values; "
                    f"expected 1 or {self.input.size}, one for each element of {self.input.shape}"
                )
        if self.condition and isinstance(self.latents.prior, VampPriorSpec):
            raise ValueError(
                "the vamp prior's pseudo-inputs have no condition for a conditional encoder; "
                "take the mixture prior"
            )
        if (ladder := self.latents.ladder) and sum(ladder.layers) != self.latent_dim:
            raise ValueError(
                f"the ladder's layers {list(ladder.layers)} have {sum(ladder.layers)} dimensions "
                f"together; latent_dim is {self.latent_dim}"
            )
        if self.network.kind == "conv" and self.input.kind != "image":
            raise ValueError("the conv network needs images; the input is a vector")
        if self.network.kind == "conv" and min(self.input.shape[:2]) < 8:
            raise ValueError(f"the conv network needs 8×8 or more, not {self.input.shape}")
        return self

    @model_validator(mode="after")
    def _likelihood_fits(self) -> Self:
        kind = self.likelihood.kind
        if kind in LEVEL_LIKELIHOODS:
            if self.input.levels is None or self.input.range is None:
                raise ValueError(
                    f"likelihood {kind} needs whole numbers of a known range, stored as bytes; "
                    f"the rows are {self.input.dtype}"
                )
            low, high = self.input.range
            if self.preprocessing != Preprocessing(shift=(low,), scale=(high - low,)):
                raise ValueError(f"likelihood {kind} needs its levels scaled by range")
        if kind in COUNT_LIKELIHOODS and self.preprocessing != Preprocessing():
            raise ValueError(f"likelihood {kind} needs counts as they are, without scaling")
        return self

    @model_validator(mode="after")
    def _autoregression_fits(self) -> Self:
        if self.autoregression is None:
            return self
        if self.input.kind != "image":
            raise ValueError("autoregression is over the pixels of an image; the input is a vector")
        if self.autoregression.radius >= min(self.input.shape[:2]):
            raise ValueError(
                f"an autoregression of radius {self.autoregression.radius} needs images with more "
                f"rows and columns than that, not {self.input.shape}"
            )
        if _learns_each_element(self.likelihood):
            raise ValueError(
                "autoregression needs a likelihood that is the same for all pixels; "
                f"{self.likelihood.kind} would learn a number for each"
            )
        return self


class Calibration(Section):
    """Summary of ``calibration.npz``, the held-out set's ELBO in nats (``elbo``, sorted)."""

    rows: PositiveInt
    mean: FiniteFloat
    std: FiniteFloat


class ManifestContent(ModelSpec):
    """What a manifest says, before it is sealed.

    With a ``quantization`` encoder, decoder and scorer compute in whole numbers, and not what the
    checkpoint does.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    name: ModelName
    version: PositiveInt
    created: AwareDatetime
    metrics: dict[str, FiniteFloat]
    calibration: Calibration
    quantization: Literal["int8"] | None = None
    versions: dict[str, str]
    files: dict[FileName, Sha256]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        required = REQUIRED_FILES | {graph.file for graph in self.graphs}
        if missing := required - self.files.keys():
            raise ValueError(f"files lacks {', '.join(sorted(missing))}")
        return self

    def seal(self) -> "Manifest":
        """The manifest with its own SHA-256 in it."""
        # Every field counts as written from here on, defaults as well.
        whole = type(self).model_validate(self.model_dump())
        return Manifest(**dict(whole), digest=_digest(whole))


class Manifest(ManifestContent):
    """``manifest.json`` of a bundle.

    ``files`` maps each file to its SHA-256; ``digest`` is the SHA-256 of all other fields that are
    written, so that a damaged manifest is found like a damaged file, and one from before a field
    with a default was thought of is still whole.
    """

    digest: Sha256

    @model_validator(mode="after")
    def _unchanged(self) -> Self:
        if (expected := _digest(self)) != self.digest:
            raise ValueError(f"digest is {self.digest}, but that of the content is {expected}")
        return self


def _digest(content: ManifestContent) -> str:
    fields = content.model_dump(mode="json", exclude={"digest"}, exclude_unset=True)
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
