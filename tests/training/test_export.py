"""What the config allows is exported: every network with every likelihood gets through the gate."""

import onnx
import pytest
import torch
from torch import Tensor, nn

from training.export import Decoder, Encoder, Scorer, export_graph
from training.gate import BATCH_SIZES
from vae.graphs import DECODER, ENCODER, SCORER, Graph
from vae.layers import FUNCTIONS
from vae.manifest import (
    COUNTS,
    MLP,
    Autoregression,
    Bernoulli,
    Categorical,
    ContinuousBernoulli,
    Conv,
    Gaussian,
    InputSpec,
    Likelihood,
    Logistic,
    ModelSpec,
    NegativeBinomial,
    Network,
    Poisson,
    Preprocessing,
)
from vae.networks import VAE
from vae.parity import magnitudes

COLOURS = InputSpec(kind="image", shape=(9, 8, 3), dtype="uint8", range=(0, 255))
NETWORKS: list[Network] = [
    MLP(hidden=()),
    MLP(hidden=(4, 3), activation="gated", residual_blocks=1),
    Conv(channels=(2,), hidden=3),
    *(Conv(channels=(2,), hidden=3, activation=name, residual_blocks=1) for name in FUNCTIONS),
]
LIKELIHOODS: list[Likelihood] = [
    Bernoulli(),
    ContinuousBernoulli(),
    Gaussian(variance="learned"),
    Gaussian(variance="optimal"),
    Gaussian(variance="per-element"),
    Gaussian(variance="decoder"),
    Categorical(),
    Logistic(components=2),
    Poisson(),
    NegativeBinomial(),
]
OF_ALL_PIXELS = [
    likelihood
    for likelihood in LIKELIHOODS
    if likelihood not in (Gaussian(variance="per-element"), NegativeBinomial())
]
BOTH = Graph("decoder and scorer", inputs=("x", "z"), outputs=("mean", "log_px_z"))


class Both(nn.Module):
    """What depends on the likelihood, in one export instead of two."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        return self.vae.decode(z), self.vae.log_px_z(x, z)


MODULES = {ENCODER: Encoder, DECODER: Decoder, SCORER: Scorer, BOTH: Both}


def export_graphs(
    network: Network,
    likelihood: Likelihood,
    *graphs: Graph,
    image: InputSpec = COLOURS,
    autoregression: Autoregression | None = None,
) -> list[bytes]:
    """Through the gate, or ExportError; with weights that are all far from 0."""
    torch.manual_seed(0)
    spec = ModelSpec(
        input=image,
        preprocessing=Preprocessing(scale=(1.0 if likelihood.kind in COUNTS else 255.0,)),
        latent_dim=2,
        likelihood=likelihood,
        network=network,
        autoregression=autoregression,
    )
    vae = VAE(spec).eval()
    for parameter in vae.parameters():
        nn.init.normal_(parameter, std=0.3)
    rows = max(BATCH_SIZES)
    x = torch.randint(0, 256, (rows, *image.shape)).float()
    inputs = {"x": x, "z": torch.randn(rows, 2)}
    return [export_graph(graph, MODULES[graph](vae), inputs, magnitudes(spec)) for graph in graphs]


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_every_network_is_exported(network: Network) -> None:
    export_graphs(network, Bernoulli(), ENCODER, DECODER)


@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=str)
@pytest.mark.parametrize("network", [MLP(hidden=(3,)), Conv(channels=(2,), hidden=3)], ids=str)
def test_every_likelihood_is_exported(network: Network, likelihood: Likelihood) -> None:
    export_graphs(network, likelihood, BOTH)


@pytest.mark.parametrize("likelihood", OF_ALL_PIXELS, ids=str)
def test_every_likelihood_of_pixels_is_exported(likelihood: Likelihood) -> None:
    autoregression = Autoregression(radius=2, features=2, channels=3, layers=1)
    image = COLOURS.model_copy(update={"shape": (3, 4, 3)})
    (content,) = export_graphs(
        MLP(hidden=()), likelihood, BOTH, image=image, autoregression=autoregression
    )
    operators = [node.op_type for node in onnx.load_from_string(content).graph.node]
    assert operators.count("Scan") == 1  # and not one copy of its body for every pixel
    assert len(operators) < 200
