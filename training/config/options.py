"""Every option of a training run: one flat schema for flags, environment, file and the record."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from training.config.consistency import (
    _check_likelihood,
    _check_objective,
    _check_schedules,
    _only,
)
from training.config.types import (
    Device,
    LikelihoodName,
    LoggerName,
    Names,
    Pair,
    Precision,
    Scaling,
    Share,
    Size,
    Variance,
    Widths,
    _named,
)
from vae.manifest import Activation, ModelName

DEFAULT_COMPONENTS = 64
DEFAULT_FLOW_LAYERS = 4
DEFAULT_LATENTS_HIDDEN = 64
DEFAULT_STEPS = 3_000
"""Training steps when no number of epochs is given: seconds for 8×8 digits, minutes for MNIST."""


FREE_TO_CHANGE = frozenset(
    {
        "data",  # a data set may move; that its content is the same is checked by its fingerprint
        "name",
        "run",
        "models",
        "start_from",  # a run that has begun has all of it in its checkpoint
        "epochs",  # more epochs are a longer run of the same kind
        "patience",  # only says when to stop
        "max_skipped",
        "importance_samples",
        "quantize",
        "device",
        "cuda_graph",
        "threads",
        "checkpoint_seconds",
        "log",
    }
)
"""The options that a resumed run may change: none touches the steps already taken."""

PLACES = frozenset({"data", "run", "models", "device", "threads"})
"""The options that may differ between the processes of one run: where things are on a machine."""


def name_from_data(fields: dict[str, Any]) -> str:
    """A model name from the data's own: ``/photos/My faces.npz`` gives ``My-faces``."""
    stem = Path(fields["data"]).expanduser().resolve().name.split(".")[0]
    return re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-_")[:64] or "model"


def run_from_name(fields: dict[str, Any]) -> Path:
    """``runs/<name>``."""
    return Path("runs", fields["name"])


class TrainConfig(BaseModel):
    """What ``train`` does. A run directory holds the resolved one, in which nothing is ``auto``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str = Field(
        description="digits; shapes; an IDX file or a folder of them; .npy or .npz; a folder of "
        "PNG and JPEG images; a CSV or Parquet table"
    )
    name: ModelName = Field(
        default_factory=name_from_data,
        description="the model's name in its bundle and its URL; without it made from that of data",
    )
    run: Path = Field(
        default_factory=run_from_name, description="directory of the run's record: runs/<name>"
    )
    models: Path = Field(Path("models"), description="directory that the bundle is written to")

    image_size: Size | None = Field(
        None, description="resize images to height,width; without it all must have one size"
    )
    gray: bool = Field(False, description="turn colour images to gray")
    columns: Names | None = Field(
        None, description="columns of a table, separated by commas; without it all"
    )
    condition_columns: Names | None = Field(
        None,
        description="columns of a table that a conditional model is told, and that are no part of "
        "x unless --columns names them, too",
    )
    scaling: Scaling | Literal["auto"] = Field(
        "auto",
        description="range: low and high to 0 and 1; standardise: mean 0, deviation 1; none; "
        "auto: range where the data has one, else standardise",
    )
    binarise: Literal["no", "fixed", "dynamic"] = Field(
        "no",
        description="draw gray values as black or white: once, or for training anew each epoch",
    )
    held_out: float = Field(
        0.1, gt=0, lt=1, description="share of the rows kept from training, for evaluation"
    )
    shuffle_mib: PositiveInt = Field(
        256,
        description="MiB of a folder of shards that are read and shuffled together",
    )
    seed: NonNegativeInt = Field(
        0, description="decides the split, the first weights, the order of rows and the noise"
    )

    start_from: Path | None = Field(
        None,
        description="run or version of a bundle whose weights training begins with; of the same "
        "network, likelihood and latents; it keeps its own scaling; without it random weights",
    )
    network: Literal["mlp", "conv"] = Field(
        "mlp", description="fully connected, or convolutional for images of 8×8 or more"
    )
    hidden: Widths | None = Field(
        None,
        description="widths of the fully connected layers from x to z; conv takes one; without it "
        "128 for mlp and 256 for conv; empty for a linear mlp",
    )
    channels: Annotated[Widths, Field(min_length=1)] = Field(
        (32, 64), description="channels of the conv layers; each halves height and width"
    )
    activation: Activation = Field(
        "relu", description="of the hidden layers; gated: A x ⊙ σ(B x), with twice the weights"
    )
    residual_blocks: NonNegativeInt = Field(
        0, description="blocks x + W₂ φ(W₁ x) after each hidden layer"
    )
    latent_dim: PositiveInt = Field(16, description="dimensions of z")
    conditional: bool = Field(
        False,
        description="tell encoder and decoder the label of each row, or numbers that come with it, "
        "and be asked by them",
    )
    prior: Literal["normal", "mixture", "vamp"] = Field(
        "normal",
        description="p(z): standard normal; a learned mixture of Gaussians; vamp: a mixture of "
        "the posteriors of learned pseudo-inputs",
    )
    prior_components: PositiveInt | None = Field(
        None,
        description="Gaussians of the mixture or pseudo-inputs of the VampPrior; without it "
        f"{DEFAULT_COMPONENTS}",
    )
    posterior: Literal["diagonal", "iaf", "realnvp"] = Field(
        "diagonal",
        description="q(z|x): a diagonal Gaussian, or one bent by an inverse autoregressive or a "
        "RealNVP flow",
    )
    ladder: Annotated[Widths, Field(min_length=2)] | None = Field(
        None,
        description="dimensions of the layers of a hierarchical z, the top one first, which add up "
        "to latent_dim; prior and posterior are those of the top",
    )
    flow_layers: PositiveInt | None = Field(
        None, description=f"steps of the flow; without it {DEFAULT_FLOW_LAYERS}"
    )
    latents_hidden: PositiveInt | None = Field(
        None,
        description="width of the hidden layer in a flow's steps and between a ladder's layers; "
        "without it "
        f"{DEFAULT_LATENTS_HIDDEN}",
    )
    likelihood: LikelihoodName | Literal["auto"] = Field(
        "auto",
        description="p(x|z); auto: bernoulli for images scaled by range, else gaussian",
    )
    variance: Variance = Field(
        "learned",
        description="of the gaussian likelihood: unit, a number, learned (one for all), optimal "
        "(the same in closed form), per-element (learned for each), decoder (of each, from z)",
    )
    logistics: PositiveInt = Field(
        1, description="of the logistic likelihood: how many are mixed for a pixel"
    )
    causal_radius: NonNegativeInt = Field(
        0,
        description="rows above and columns to either side that p(x_i|x_<i, z) of a pixel sees; "
        "0: pixels are independent given z",
    )
    causal_channels: PositiveInt = Field(
        32, description="width of the layers that join z and the pixels before"
    )
    causal_layers: NonNegativeInt = Field(2, description="residual gated layers of that width")
    objective: Literal["elbo", "iwae", "dreg", "beta-tc", "mmd"] = Field(
        "elbo",
        description="what training raises: the ELBO; the importance-weighted bound, also with "
        "doubly reparameterised gradients; the ELBO with beta on the total correlation alone; the "
        "ELBO less the maximum mean discrepancy of q(z) and p(z)",
    )
    draws: PositiveInt = Field(1, description="draws of z a row in a step, for elbo, iwae and dreg")
    beta: NonNegativeFloat = Field(
        1.0, description="weight of the KL term; 1 is the ELBO; of beta-tc, of the correlation"
    )
    kl_schedule: Literal["linear", "cyclical", "sigmoid"] = Field(
        "linear", description="how beta rises from 0"
    )
    kl_anneal_epochs: NonNegativeFloat = Field(
        0.0, description="epochs over which beta rises from 0, with all cycles; 0: constant"
    )
    kl_cycles: PositiveInt = Field(4, description="times that the cyclical schedule rises")
    free_bits: NonNegativeFloat = Field(
        0.0, description="KL in nats that each latent has for free, of the mean over a batch"
    )
    capacity: NonNegativeFloat = Field(
        0.0, description="KL in nats that a row's mean is held to, on either side; 0: none"
    )
    capacity_epochs: NonNegativeFloat = Field(
        0.0, description="epochs over which the capacity rises from 0"
    )
    aggressive: bool = Field(
        False,
        description="train the encoder before every step of the rest, until the mutual information "
        "of x and z stops rising",
    )
    mmd_weight: NonNegativeFloat = Field(
        100.0, description="weight of the squared discrepancy in the mmd objective"
    )

    epochs: NonNegativeInt = Field(
        0, description=f"passes over the data; 0: as many as make {DEFAULT_STEPS:,} steps"
    )
    keep: Literal["best", "last"] = Field(
        "best",
        description="weights that the bundle gets: of the epoch with the best held-out objective, "
        "or of the last one",
    )
    batch_size: PositiveInt = Field(128, description="rows a step")
    learning_rate: PositiveFloat = Field(2e-3, description="of AdamW, at its highest")
    learning_rate_schedule: Literal["constant", "cosine", "staircase", "plateau"] = Field(
        "constant",
        description="cosine: down to 0 at the last epoch; staircase: Burda's eight stages, "
        "stretched to the epochs; plateau: down by a factor when the held-out objective stalls",
    )
    warmup_epochs: NonNegativeFloat = Field(
        0.0, description="epochs over which the learning rate rises from 0"
    )
    plateau_epochs: PositiveInt = Field(
        10, description="epochs without a better held-out objective before plateau lowers the rate"
    )
    plateau_factor: float = Field(
        0.5, gt=0, lt=1, description="what plateau multiplies the learning rate by"
    )
    adam_betas: Pair = Field((0.9, 0.999), description="decay of AdamW's two moments")
    adam_epsilon: PositiveFloat = Field(1e-8, description="of AdamW")
    weight_decay: NonNegativeFloat = Field(0.0, description="of AdamW")
    ema: Share = Field(
        0.0,
        description="decay of an average of the weights, which is evaluated and exported in their "
        "place; 0: none",
    )
    patience: NonNegativeInt = Field(
        0, description="epochs without a better held-out objective that end the run; 0: never"
    )
    clip_norm: PositiveFloat = Field(
        200.0, description="scale a gradient down to this norm when it is longer"
    )
    max_skipped: float = Field(
        0.1,
        ge=0,
        le=1,
        description="share of an epoch's steps that may be skipped for a loss or gradient that is "
        "not finite; more end the run",
    )
    importance_samples: PositiveInt = Field(
        50, description="draws of z a row in the final evaluation's importance-weighted bound"
    )
    quantize: bool = Field(
        False,
        description="the bundle's graphs in int8, where that moves the held-out ELBO by less than "
        "0.5%",
    )
    precision: Precision = Field(
        "float32",
        description="what encoder and decoder compute in while they are trained: float32; tf32 on "
        "cuda; bfloat16 with weights, p(x|z) and sums in float32",
    )
    device: Device = Field("cpu", description="cpu, cuda or cuda:<number>")
    cuda_graph: bool = Field(
        False, description="on cuda: launch a step as one CUDA graph, and not kernel by kernel"
    )
    threads: NonNegativeInt = Field(
        0, description="CPU threads; 0: one for a small network, else one for each core"
    )
    checkpoint_seconds: NonNegativeFloat = Field(
        1.0,
        description="least time between checkpoints, which are written after an epoch; "
        "0: after every one",
    )
    log: Annotated[tuple[LoggerName, ...], BeforeValidator(_named)] = Field(
        (), description="also log the run to these, separated by commas: tensorboard, mlflow"
    )

    @property
    def free_to_change(self) -> frozenset[str]:
        """The options that a resumed run may change: none touches the steps already taken.

        Where the learning rate follows a curve over all epochs, more of them are another run.
        """
        over_all = self.learning_rate_schedule in ("cosine", "staircase")
        return FREE_TO_CHANGE - {"epochs"} if over_all else FREE_TO_CHANGE

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.network == "conv" and self.hidden is not None and len(self.hidden) != 1:
            raise ValueError(f"hidden: the conv network takes one width, not {list(self.hidden)}")
        if self.prior == "normal" and self.prior_components is not None:
            raise ValueError("prior_components: the normal prior has none")
        if self.posterior == "diagonal" and self.flow_layers is not None:
            raise ValueError("flow_layers: the diagonal posterior has none")
        plain = self.posterior == "diagonal" and self.ladder is None
        if plain and self.latents_hidden is not None:
            raise ValueError("latents_hidden: there is neither a flow nor a ladder to have it")
        _only(self, "condition_columns", self.conditional, "a conditional model")
        if (self.precision, self.device) == ("tf32", "cpu"):
            raise ValueError("precision: a CPU does not have tf32")
        _only(self, "cuda_graph", self.device != "cpu", "cuda, not cpu")
        _only(self, "cuda_graph", not self.aggressive, "steps of all weights, not for aggressive")
        _check_likelihood(self)
        _check_objective(self)
        _check_schedules(self)
        return self


def differences(stored: TrainConfig, given: TrainConfig, *, free: frozenset[str]) -> list[str]:
    """The options, but for the ``free`` ones, that make another run, as ``latent_dim: 16 → 8``."""
    before, after = stored.model_dump(), given.model_dump()
    return [
        f"{name}: {before[name]} → {after[name]}"
        for name in before
        if name not in free and before[name] != after[name]
    ]
