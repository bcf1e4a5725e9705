"""The variational autoencoder, built from the manifest's sections.

Shapes: x is (batch, *shape) in the units of the data; everything between preprocessing and the
likelihood works on flattened rows, (batch, size), in the order of x.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from vae import likelihoods
from vae.manifest import MLP, Conv, ModelSpec, Preprocessing


class VAE(nn.Module):
    """Encoder q(z|x), decoder and likelihood p(x|z), with the preprocessing in the graph.

    ``encode``, ``decode`` and ``log_px_z`` are the three graphs of a bundle, in the units of the
    data; training works on the parts.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        self.preprocess = Preprocess(spec.preprocessing)
        self.encoder, self.decoder = _build_networks(spec)
        self.likelihood = likelihoods.build(spec.likelihood)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """mu and logvar of q(z|x), each (batch, latent_dim)."""
        mu, logvar = self.encoder(self.preprocess(x)).chunk(2, dim=1)
        return mu, logvar

    def decode(self, z: Tensor) -> Tensor:
        """The mean of p(x|z), (batch, *shape): a posterior-mean picture, not a draw from p(x|z)."""
        mean = self.likelihood.mean(self.decoder(z))
        return self.preprocess.invert(mean).reshape(-1, *self.spec.input.shape)

    def log_px_z(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x|z) in nats of the preprocessed x, (batch,)."""
        return self.likelihood.log_prob(self.decoder(z), self.preprocess(x))


class Preprocess(nn.Module):
    """x ↦ (x − shift) / scale on flattened rows."""

    shift: Tensor
    scale: Tensor

    def __init__(self, spec: Preprocessing) -> None:
        super().__init__()
        self.register_buffer("shift", torch.tensor(spec.shift))
        self.register_buffer("scale", torch.tensor(spec.scale))

    def forward(self, x: Tensor) -> Tensor:
        return (x.flatten(1) - self.shift) / self.scale

    def invert(self, x: Tensor) -> Tensor:
        """From the model's space back to the units of the data."""
        units: Tensor = x * self.scale + self.shift
        return units


def _build_networks(spec: ModelSpec) -> tuple[nn.Module, nn.Module]:
    match spec.network:
        case MLP():
            widths = (spec.input.size, *spec.network.hidden)
            return (
                _perceptron((*widths, 2 * spec.latent_dim)),
                _perceptron((spec.latent_dim, *reversed(widths))),
            )
        case Conv():
            return ConvEncoder(spec, spec.network), ConvDecoder(spec, spec.network)


def _perceptron(widths: Sequence[int]) -> nn.Sequential:
    """Linear layers with ReLU between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _sizes(spec: ModelSpec, network: Conv) -> list[tuple[int, int]]:
    """Height and width before each halving and after the last: 28 to 14 to 7, 9 to 5 to 3."""
    height, width = spec.input.shape[:2]
    sizes = [(height, width)]
    for _ in network.channels:
        height, width = (height + 1) // 2, (width + 1) // 2
        sizes.append((height, width))
    return sizes


def _colours(spec: ModelSpec) -> int:
    return 3 if len(spec.input.shape) == 3 else 1


class ConvEncoder(nn.Module):
    """Strided convolutions, then two fully connected layers."""

    def __init__(self, spec: ModelSpec, network: Conv) -> None:
        super().__init__()
        self.image = (*spec.input.shape[:2], _colours(spec))
        height, width = _sizes(spec, network)[-1]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise((_colours(spec), *network.channels)):
            layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.ReLU()]
        self.convolutions = nn.Sequential(*layers)
        self.head = _perceptron(
            (network.channels[-1] * height * width, network.hidden, 2 * spec.latent_dim)
        )

    def forward(self, x: Tensor) -> Tensor:
        planes = x.reshape(-1, *self.image).permute(0, 3, 1, 2)
        return self.head(self.convolutions(planes).flatten(1))  # type: ignore[no-any-return]


class ConvDecoder(nn.Module):
    """The encoder backwards, up-sampling by sub-pixel convolution (Shi et al. 2016).

    The convolution runs at the small size, which costs a quarter of resize-then-convolve and shows
    no checkerboard of a strided transposed convolution.
    """

    def __init__(self, spec: ModelSpec, network: Conv) -> None:
        super().__init__()
        sizes = _sizes(spec, network)
        self.small = (network.channels[-1], *sizes[-1])
        self.head = _perceptron(
            (spec.latent_dim, network.hidden, network.channels[-1] * sizes[-1][0] * sizes[-1][1])
        )
        channels = (*reversed(network.channels), network.channels[0])
        self.convolutions = nn.Sequential(
            nn.ReLU(),
            *(
                Upsample(inputs, outputs, size)
                for (inputs, outputs), size in zip(
                    pairwise(channels), reversed(sizes[:-1]), strict=True
                )
            ),
            nn.Conv2d(network.channels[0], _colours(spec), 3, padding=1),
        )

    def forward(self, z: Tensor) -> Tensor:
        planes = self.convolutions(self.head(z).reshape(-1, *self.small))
        return planes.permute(0, 2, 3, 1).flatten(1)  # type: ignore[no-any-return]


class Upsample(nn.Module):
    """Sub-pixel convolution to twice the height and width, cut to ``size`` where it is odd."""

    def __init__(self, inputs: int, outputs: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, 4 * outputs, 3, padding=1)
        self.shuffle = nn.PixelShuffle(2)
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        height, width = self.size
        return torch.relu(self.shuffle(self.convolution(x)))[:, :, :height, :width]
