"""Convolutional networks for images of any size: each level halves the height and the width."""

from functools import partial
from itertools import pairwise

from torch import Tensor, nn

from vae.layers import Residual, function, layer, width
from vae.manifest import Activation, Conv, ModelSpec
from vae.perceptron import perceptron

CONVOLUTION = partial(nn.Conv2d, kernel_size=3, padding=1)


class ConvEncoder(nn.Module):
    """Strided convolutions, each followed by the residual blocks, then two fully connected layers:
    rows (batch, size) to (batch, 2 · latent_dim).
    """

    def __init__(self, spec: ModelSpec, network: Conv) -> None:
        super().__init__()
        self.image = (*spec.input.shape[:2], _colours(spec))
        height, width = _sizes(spec, network)[-1]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise((_colours(spec), *network.channels)):
            layers += layer(
                partial(CONVOLUTION, stride=2), inputs, outputs, network.activation
            ) + _blocks(outputs, network)
        self.convolutions = nn.Sequential(*layers)
        self.head = perceptron(
            (network.channels[-1] * height * width, network.hidden, 2 * spec.latent_dim),
            network.activation,
        )

    def forward(self, x: Tensor) -> Tensor:
        planes = x.reshape(-1, *self.image).permute(0, 3, 1, 2)
        return self.head(self.convolutions(planes).flatten(1))  # type: ignore[no-any-return]


class ConvDecoder(nn.Module):
    """The encoder backwards, up-sampling by transposed convolution.

    A kernel of 4×4 over a stride of 2 meets every pixel equally often, so that it shows no
    checkerboard (Odena et al. 2016), and takes 4/9 of the multiplications of a resize, or of a
    sub-pixel convolution, with a kernel of 3×3.
    """

    def __init__(self, spec: ModelSpec, network: Conv, per_element: int) -> None:
        super().__init__()
        *sizes, (height, breadth) = _sizes(spec, network)
        deepest = width(network.channels[-1], network.activation)
        self.small = (deepest, height, breadth)
        self.head = perceptron(
            (spec.latent_dim + spec.condition_dim, network.hidden, deepest * height * breadth),
            network.activation,
        )
        layers = [function(network.activation)]
        channels = (*reversed(network.channels), network.channels[0])
        for (inputs, outputs), size in zip(pairwise(channels), reversed(sizes), strict=True):
            layers += [
                *_blocks(inputs, network),
                Upsample(inputs, outputs, size, network.activation),
            ]
        outputs = _colours(spec) * per_element
        self.convolutions = nn.Sequential(*layers, CONVOLUTION(channels[-1], outputs))

    def forward(self, z: Tensor) -> Tensor:
        planes = self.convolutions(self.head(z).reshape(-1, *self.small))
        return planes.permute(0, 2, 3, 1).flatten(1)  # type: ignore[no-any-return]


class Upsample(nn.Module):
    """To twice the height and width, cut to ``size`` where it is odd."""

    def __init__(
        self, inputs: int, outputs: int, size: tuple[int, int], activation: Activation
    ) -> None:
        super().__init__()
        channels = width(outputs, activation)
        self.convolution = nn.ConvTranspose2d(inputs, channels, 4, stride=2, padding=1)
        self.function = function(activation)
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        height, width = self.size
        activated: Tensor = self.function(self.convolution(x))
        return activated[:, :, :height, :width]


def _blocks(channels: int, network: Conv) -> list[nn.Module]:
    return [
        Residual(CONVOLUTION, channels, network.activation) for _ in range(network.residual_blocks)
    ]


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
