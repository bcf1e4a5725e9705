"""Convolutional encoder and decoder: each level halves height and width, for images of any size."""

from functools import partial
from itertools import pairwise

from torch import Tensor, nn

from vae.layers import ResidualBlock, activated_layer, activation_function, activation_inputs
from vae.manifest import Activation, ConvSpec, ModelSpec
from vae.mlp import mlp

conv3x3 = partial(nn.Conv2d, kernel_size=3, padding=1)
"""A convolution that keeps height and width."""


class ConvEncoder(nn.Module):
    """Rows (batch, size) to mu and logvar side by side, (batch, 2 · latent_dim).

    Convolutions with stride 2, each followed by its residual blocks, and then two fully connected
    layers.
    """

    def __init__(self, spec: ModelSpec, network: ConvSpec) -> None:
        super().__init__()
        self.image = (*spec.input.shape[:2], _colours(spec))
        height, width = _sizes(spec, network)[-1]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise((_colours(spec), *network.channels)):
            strided = partial(conv3x3, stride=2)
            layers += activated_layer(strided, inputs, outputs, network.activation)
            layers += _residual_blocks(outputs, network)
        self.convolutions = nn.Sequential(*layers)
        self.head = mlp(
            (network.channels[-1] * height * width, network.hidden, 2 * spec.latent_dim),
            network.activation,
        )

    def forward(self, x: Tensor) -> Tensor:
        planes = x.reshape(-1, *self.image).permute(0, 3, 1, 2)
        return self.head(self.convolutions(planes).flatten(1))  # type: ignore[no-any-return]


class ConvDecoder(nn.Module):
    """z, (batch, latent_dim + condition_dim), to (batch, size · params_per_element).

    The encoder's layers in reverse order, with transposed convolutions for upsampling. With a 4×4
    kernel and stride 2 every output pixel receives the same number of kernel elements, so that no
    checkerboard pattern appears (Odena et al. 2016). It needs 4/9 of the multiplications of
    resizing, or of a sub-pixel convolution, with a 3×3 kernel.
    """

    def __init__(self, spec: ModelSpec, network: ConvSpec, params_per_element: int) -> None:
        super().__init__()
        *sizes, (height, width) = _sizes(spec, network)
        deepest = activation_inputs(network.channels[-1], network.activation)
        self.small = (deepest, height, width)
        self.head = mlp(
            (spec.latent_dim + spec.condition_dim, network.hidden, deepest * height * width),
            network.activation,
        )
        layers = [activation_function(network.activation)]
        channels = (*reversed(network.channels), network.channels[0])
        for (inputs, outputs), size in zip(pairwise(channels), reversed(sizes), strict=True):
            layers += _residual_blocks(inputs, network)
            layers.append(Upsample(inputs, outputs, size, network.activation))
        outputs = _colours(spec) * params_per_element
        self.convolutions = nn.Sequential(*layers, conv3x3(channels[-1], outputs))

    def forward(self, z: Tensor) -> Tensor:
        planes = self.convolutions(self.head(z).reshape(-1, *self.small))
        return planes.permute(0, 2, 3, 1).flatten(1)  # type: ignore[no-any-return]


class Upsample(nn.Module):
    """Doubles height and width, then cuts them to ``size``, which is one less if that is odd."""

    def __init__(
        self, inputs: int, outputs: int, size: tuple[int, int], activation: Activation
    ) -> None:
        super().__init__()
        channels = activation_inputs(outputs, activation)
        self.convolution = nn.ConvTranspose2d(inputs, channels, 4, stride=2, padding=1)
        self.function = activation_function(activation)
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        height, width = self.size
        activated: Tensor = self.function(self.convolution(x))
        return activated[:, :, :height, :width]


def _residual_blocks(channels: int, network: ConvSpec) -> list[nn.Module]:
    return [
        ResidualBlock(conv3x3, channels, network.activation) for _ in range(network.residual_blocks)
    ]


def _sizes(spec: ModelSpec, network: ConvSpec) -> list[tuple[int, int]]:
    """Height and width before each level and after the last: 28, 14, 7 or 9, 5, 3."""
    height, width = spec.input.shape[:2]
    sizes = [(height, width)]
    for _ in network.channels:
        height, width = (height + 1) // 2, (width + 1) // 2
        sizes.append((height, width))
    return sizes


def _colours(spec: ModelSpec) -> int:
    return 3 if len(spec.input.shape) == 3 else 1
