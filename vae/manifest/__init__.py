"""The manifest: everything that training decided and a server must know.

``Manifest`` is the schema of ``manifest.json``, which training writes and the service reads. Each
section has its own file. Unknown fields, other schema versions and file names that do not belong in
a bundle are rejected. Nothing here imports torch.
"""

from vae.manifest.condition import ClassCondition, Condition, VectorCondition
from vae.manifest.input import InputSpec
from vae.manifest.latents import (
    AutoregressiveFlowSpec,
    CouplingFlowSpec,
    DiagonalGaussianSpec,
    GaussianMixtureSpec,
    LadderSpec,
    LatentsSpec,
    PosteriorSpec,
    PriorSpec,
    StandardNormalSpec,
    VampPriorSpec,
)
from vae.manifest.likelihood import (
    COUNT_LIKELIHOODS,
    LEVEL_LIKELIHOODS,
    BernoulliSpec,
    CategoricalSpec,
    ContinuousBernoulliSpec,
    GaussianSpec,
    LikelihoodSpec,
    LogisticMixtureSpec,
    NegativeBinomialSpec,
    PoissonSpec,
    PositiveVariance,
)
from vae.manifest.manifest import (
    REQUIRED_FILES,
    SCHEMA_VERSION,
    Calibration,
    FileName,
    Manifest,
    ManifestContent,
    ModelName,
)
from vae.manifest.model import ModelSpec
from vae.manifest.network import (
    Activation,
    AutoregressionSpec,
    ConvSpec,
    LayerSpec,
    MLPSpec,
    NetworkSpec,
)
from vae.manifest.preprocessing import Preprocessing

__all__ = [
    "COUNT_LIKELIHOODS",
    "LEVEL_LIKELIHOODS",
    "REQUIRED_FILES",
    "SCHEMA_VERSION",
    "Activation",
    "AutoregressionSpec",
    "AutoregressiveFlowSpec",
    "BernoulliSpec",
    "Calibration",
    "CategoricalSpec",
    "ClassCondition",
    "Condition",
    "ContinuousBernoulliSpec",
    "ConvSpec",
    "CouplingFlowSpec",
    "DiagonalGaussianSpec",
    "FileName",
    "GaussianMixtureSpec",
    "GaussianSpec",
    "InputSpec",
    "LadderSpec",
    "LatentsSpec",
    "LayerSpec",
    "LikelihoodSpec",
    "LogisticMixtureSpec",
    "MLPSpec",
    "Manifest",
    "ManifestContent",
    "ModelName",
    "ModelSpec",
    "NegativeBinomialSpec",
    "NetworkSpec",
    "PoissonSpec",
    "PositiveVariance",
    "PosteriorSpec",
    "Preprocessing",
    "PriorSpec",
    "StandardNormalSpec",
    "VampPriorSpec",
    "VectorCondition",
]
