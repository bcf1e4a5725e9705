"""All options of a training run: one schema for flags, environment variables and files."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
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
    split_names,
)
from vae.manifest import Activation, ModelName

DEFAULT_COMPONENTS = 64
DEFAULT_FLOW_LAYERS = 4
DEFAULT_LATENTS_HIDDEN = 64
DEFAULT_STEPS = 3_000
"""Training steps if epochs is 0: seconds for 8×8 digits, minutes for MNIST."""


def name_from_data(fields: dict[str, Any]) -> str:
    """A model name made from the name of the data: ``/photos/My faces.npz`` gives ``My-faces``."""
    stem = Path(fields["data"]).expanduser().resolve().name.split(".")[0]
    return re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-_")[:64] or "model"


def run_from_name(fields: dict[str, Any]) -> Path:
    """``runs/<name>``."""
    return Path("runs", fields["name"])


class TrainOptions(BaseModel):
    """The options of ``train`` with their types, defaults and help texts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str = Field(
        description="digits; shapes; an IDX file or a folder of them; .npy or .npz; a folder of "
        "PNG and JPEG images; a CSV or Parquet table"
    )
    name: ModelName = Field(
        default_factory=name_from_data,
        description="name of the model in its bundle and URL; default: made from data",
    )
    run: Path = Field(
        default_factory=run_from_name, description="directory of the run; default: runs/<name>"
    )
    models: Path = Field(Path("models"), description="directory to write the bundle to")

    image_size: Size | None = Field(
        None, description="resize images to height,width; default: all must have the same size"
    )
    gray: bool = Field(False, description="convert colour images to gray")
    columns: Names | None = Field(
        None, description="columns of a table, separated by commas; default: all"
    )
    condition_columns: Names | None = Field(
        None,
        description="columns of a table that are the condition of a conditional model; they are "
        "not part of x unless --columns names them, too",
    )
    scaling: Scaling | Literal["auto"] = Field(
        "auto",
        description="range: map the range of the data to 0 to 1; standardise: mean 0, standard "
        "deviation 1; none; auto: range if the data has one, else standardise",
    )
    binarise: Literal["no", "fixed", "dynamic"] = Field(
        "no",
        description="draw gray values as black or white: fixed, once; dynamic, anew in every epoch",
    )
    held_out: float = Field(
        0.1, gt=0, lt=1, description="fraction of the rows for evaluation, which are not trained on"
    )
    shuffle_mib: PositiveInt = Field(
        256,
        description="MiB of a folder of shards that are read and shuffled together",
    )
    seed: NonNegativeInt = Field(
        0, description="seed of the split, the initial weights, the order of rows and the noise"
    )

    start_from: Path | None = Field(
        None,
        description="run or version of a bundle whose weights training starts from; network, "
        "likelihood and latents must be the same, its scaling is kept; default: random weights",
    )
    network: Literal["mlp", "conv"] = Field(
        "mlp", description="mlp: fully connected; conv: convolutional, for images of 8×8 or more"
    )
    hidden: Widths | None = Field(
        None,
        description="widths of the hidden layers from x to z, one for conv; default: 128 for mlp, "
        "256 for conv; empty: a linear mlp",
    )
    channels: Annotated[Widths, Field(min_length=1)] = Field(
        (32, 64), description="channels of the convolutions; each halves height and width"
    )
    activation: Activation = Field(
        "relu",
        description="activation of the hidden layers; gated: A x ⊙ σ(B x), with twice the weights",
    )
    residual_blocks: NonNegativeInt = Field(
        0, description="residual blocks x + W₂ φ(W₁ x) after each hidden layer"
    )
    latent_dim: PositiveInt = Field(16, description="number of dimensions of z")
    conditional: bool = Field(
        False,
        description="train a conditional VAE: encoder and decoder also receive each row's label or "
        "condition columns",
    )
    prior: Literal["normal", "mixture", "vamp"] = Field(
        "normal",
        description="p(z): standard normal; a learned mixture of Gaussians; vamp: a mixture of "
        "the posteriors of learned pseudo-inputs",
    )
    prior_components: PositiveInt | None = Field(
        None,
        description="Gaussians of the mixture, or pseudo-inputs of the VampPrior; default: "
        f"{DEFAULT_COMPONENTS}",
    )
    posterior: Literal["diagonal", "iaf", "realnvp"] = Field(
        "diagonal",
        description="q(z|x): a diagonal Gaussian, or one transformed by an inverse autoregressive "
        "flow or a RealNVP flow",
    )
    ladder: Annotated[Widths, Field(min_length=2)] | None = Field(
        None,
        description="dimensions of the layers of a hierarchical z, the top layer first; their sum "
        "is latent_dim; prior and posterior apply to the top layer",
    )
    flow_layers: PositiveInt | None = Field(
        None, description=f"steps of the flow; default: {DEFAULT_FLOW_LAYERS}"
    )
    latents_hidden: PositiveInt | None = Field(
        None,
        description="width of the hidden layer in a flow's steps and between a ladder's layers; "
        "default: "
        f"{DEFAULT_LATENTS_HIDDEN}",
    )
    likelihood: LikelihoodName | Literal["auto"] = Field(
        "auto",
        description="p(x|z); auto: bernoulli for images scaled by range, else gaussian",
    )
    variance: Variance = Field(
        "learned",
        description="variance of the gaussian likelihood: unit; a number; learned, one for all "
        "elements; optimal, the same in closed form; per-element, one learned for each; decoder, "
        "computed from z for each",
    )
    logistics: PositiveInt = Field(
        1, description="number of mixed logistics per pixel, for the logistic likelihood"
    )
    causal_radius: NonNegativeInt = Field(
        0,
        description="an autoregressive decoder: the rows above and columns to either side that a "
        "pixel depends on; 0: pixels are independent given z",
    )
    causal_channels: PositiveInt = Field(
        32, description="width of the layers that combine z with earlier pixels"
    )
    causal_layers: NonNegativeInt = Field(
        2, description="number of residual gated layers of that width"
    )
    objective: Literal["elbo", "iwae", "dreg", "beta-tc", "mmd"] = Field(
        "elbo",
        description="elbo; iwae: the importance-weighted bound; dreg: the same with doubly "
        "reparameterised gradients; beta-tc: the ELBO with beta on the total correlation only; "
        "mmd: the ELBO minus the maximum mean discrepancy of q(z) and p(z)",
    )
    draws: PositiveInt = Field(
        1, description="draws of z per row in a step, for elbo, iwae and dreg"
    )
    beta: NonNegativeFloat = Field(
        1.0,
        description="weight of the KL term; 1 is the ELBO; for beta-tc of the total correlation",
    )
    kl_schedule: Literal["linear", "cyclical", "sigmoid"] = Field(
        "linear", description="curve along which beta rises from 0"
    )
    kl_anneal_epochs: NonNegativeFloat = Field(
        0.0,
        description="epochs over which beta rises from 0, including all cycles; 0: constant beta",
    )
    kl_cycles: PositiveInt = Field(4, description="number of cycles of the cyclical schedule")
    free_bits: NonNegativeFloat = Field(
        0.0, description="KL in nats per latent, as mean over a batch, that costs nothing"
    )
    capacity: NonNegativeFloat = Field(
        0.0,
        description="target of the mean KL in nats; deviations in both directions cost; 0: none",
    )
    capacity_epochs: NonNegativeFloat = Field(
        0.0, description="epochs over which the capacity rises from 0"
    )
    aggressive: bool = Field(
        False,
        description="train the encoder for several steps before every step of the decoder, until "
        "the mutual information of x and z stops rising",
    )
    mmd_weight: NonNegativeFloat = Field(
        100.0, description="weight of the squared MMD in the mmd objective"
    )

    epochs: NonNegativeInt = Field(
        0, description=f"passes over the data; 0: enough for {DEFAULT_STEPS:,} steps"
    )
    keep: Literal["best", "last"] = Field(
        "best",
        description="weights for the bundle: those of the epoch with the best held-out objective, "
        "or of the last epoch",
    )
    batch_size: PositiveInt = Field(128, description="rows per step")
    learning_rate: PositiveFloat = Field(2e-3, description="learning rate of AdamW at its maximum")
    learning_rate_schedule: Literal["constant", "cosine", "staircase", "plateau"] = Field(
        "constant",
        description="cosine: falls to 0 at the last epoch; staircase: the eight stages of Burda et "
        "al., scaled to the epochs; plateau: falls by a factor when the held-out objective stalls",
    )
    warmup_epochs: NonNegativeFloat = Field(
        0.0, description="epochs over which the learning rate rises from 0"
    )
    plateau_epochs: PositiveInt = Field(
        10, description="epochs without a better held-out objective before plateau lowers the rate"
    )
    plateau_factor: float = Field(
        0.5, gt=0, lt=1, description="factor on the learning rate at a plateau"
    )
    adam_betas: Pair = Field((0.9, 0.999), description="decay rates of AdamW's two moments")
    adam_epsilon: PositiveFloat = Field(1e-8, description="epsilon of AdamW")
    weight_decay: NonNegativeFloat = Field(0.0, description="weight decay of AdamW")
    ema: Share = Field(
        0.0,
        description="decay of an exponential moving average of the weights, which is evaluated and "
        "exported instead of them; 0: none",
    )
    patience: NonNegativeInt = Field(
        0,
        description="early stopping: epochs without a better held-out objective; 0: off",
    )
    clip_norm: PositiveFloat = Field(
        200.0, description="maximum norm of the gradient; a longer one is scaled down"
    )
    max_skipped: float = Field(
        0.1,
        ge=0,
        le=1,
        description="maximum fraction of an epoch's steps that may be skipped because a loss or "
        "gradient is not finite; more end the run",
    )
    importance_samples: PositiveInt = Field(
        50,
        description="draws of z per row in the importance-weighted bound of the final evaluation",
    )
    quantize: bool = Field(
        False,
        description="write int8 graphs; fails if the held-out ELBO changes by more than 0.5%",
    )
    precision: Precision = Field(
        "float32",
        description="precision of encoder and decoder during training: float32; tf32, on cuda; "
        "bfloat16, with weights, p(x|z) and sums in float32",
    )
    device: Device = Field("cpu", description="cpu, cuda or cuda:<number>")
    cuda_graph: bool = Field(False, description="on cuda: launch each step as one CUDA graph")
    threads: NonNegativeInt = Field(
        0, description="CPU threads; 0: one for a small network, else one per core"
    )
    checkpoint_seconds: NonNegativeFloat = Field(
        1.0,
        description="minimum seconds between checkpoints, which are written after an epoch; 0: "
        "after every epoch",
    )
    log: Annotated[tuple[LoggerName, ...], BeforeValidator(split_names)] = Field(
        (), description="loggers, separated by commas: tensorboard, mlflow"
    )
