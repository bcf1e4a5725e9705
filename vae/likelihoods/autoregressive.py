"""p(x|z) = Π_i p(x_i | x_<i, z) over the pixels of an image, in reading order.

A small gated PixelCNN (van den Oord et al. 2016, "Conditional image generation with PixelCNN
decoders") with one masked convolution: each pixel receives the pixels before it in a window and the
decoder's features at its own place; the gated layers after that are 1×1. Given x, all pixels are
computed at once. When pixels are generated one by one, each costs the same, whatever the size of
the image, because only the rows of the window are kept (like the cache of Ramachandran et al.
2017).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vae.layers import ResidualBlock, activation_function, activation_inputs
from vae.likelihoods.base import Likelihood
from vae.manifest import AutoregressionSpec, InputSpec
from vae.scan import scan


class AutoregressiveLikelihood(Likelihood):
    """A likelihood in which each pixel depends on the pixels before it.

    The decoder puts out ``spec.features`` numbers for each element, (batch, size · features). From
    these and x a network makes the parameters of ``pixel``, the likelihood of one pixel. Colours of
    one pixel depend on each other only if ``pixel`` makes them. ``scale`` is applied to x before it
    enters the network.
    """

    def __init__(
        self, spec: AutoregressionSpec, image: InputSpec, pixel: Likelihood, scale: nn.Module
    ) -> None:
        super().__init__()
        self.params_per_element = spec.features
        self.pixel = pixel
        self.scale = scale
        colours = image.shape[2] if len(image.shape) == 3 else 1
        inner = activation_inputs(spec.channels, "gated")
        self.window = MaskedConvolution(image.shape[0], image.shape[1], colours, spec.radius, inner)
        self.place = nn.Linear(colours * spec.features, inner)
        self.layers = nn.Sequential(
            activation_function("gated"),
            *(ResidualBlock(nn.Linear, spec.channels, "gated") for _ in range(spec.layers)),
            nn.Linear(spec.channels, colours * pixel.params_per_element),
        )

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        return self.pixel.log_prob(self.pixel_params(params, x), x)

    def mean(self, params: Tensor) -> Tensor:
        """The path of conditional means, (batch, size): x̂ with x̂_i = E[x_i | x̂_<i, z].

        The mean of p(x|z) has no closed form. The path equals it if every pixel is certain, and
        like the mean it is a function of z.
        """
        return self._generate(params, self.pixel.mean)

    def sample(self, params: Tensor, noise: torch.Generator) -> Tensor:
        return self._generate(params, lambda pixel: self.pixel.sample(pixel, noise))

    def own_parameters(self) -> list[nn.Parameter]:
        return self.pixel.own_parameters()

    def log_prob_in_data_units(
        self, params: Tensor, x: Tensor, scale: Tensor, *, whole: bool
    ) -> Tensor:
        pixel_params = self.pixel_params(params, x)
        return self.pixel.log_prob_in_data_units(pixel_params, x, scale, whole=whole)

    def pixel_params(self, params: Tensor, x: Tensor) -> Tensor:
        """The parameters of ``pixel`` for every pixel given the pixels of x before it.

        (batch, size · features) and (batch, size) to (batch, size · pixel.params_per_element).
        """
        hidden = self.window(self.scale(x)) + self._places(params).flatten(0, 1)
        return torch.unflatten(self.layers(hidden), 0, (-1, self.window.pixels)).flatten(1)

    def _places(self, params: Tensor) -> Tensor:
        """The decoder's contribution to each pixel, (batch, pixels, inner)."""
        places: Tensor = self.place(torch.unflatten(params, 1, (-1, self.place.in_features)))
        return places

    def _generate(self, params: Tensor, choose: Callable[[Tensor], Tensor]) -> Tensor:
        """x, (batch, size), pixel by pixel; ``choose`` maps a pixel's parameters to its value."""
        weight = self.window.kernel_matrix()

        def step(seen: Tensor, place: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
            pixel = choose(self.layers(place + seen @ weight)) * real
            return torch.cat([seen[:, pixel.shape[1] :], self.scale(pixel)], dim=1), pixel

        places = self._places(params)
        real = self.window.to_line(torch.ones_like(places[:1, :, :1])).flatten()  # 0 in the margin
        seen = torch.zeros_like(params[:, :1]).repeat(1, len(weight))
        line = scan(step, seen, (self.window.to_line(places), real))
        return self.window.from_line(line)


class MaskedConvolution(nn.Module):
    """A convolution over the pixels before each pixel, at most ``radius`` rows and columns away.

    To process one pixel after another, the image is laid out as a line: its rows, separated by
    ``radius`` zeros that serve as the margin of both sides. Along the line the window always covers
    the same offsets back, so that the state is the last stretch of the line and the kernel is a
    matrix.
    """

    causal: Tensor

    def __init__(self, height: int, width: int, colours: int, radius: int, channels: int) -> None:
        super().__init__()
        self.image = (height, width, colours)
        self.pixels = height * width
        self.radius = radius
        self.stride = width + radius
        self.kernel = nn.Conv2d(colours, channels, (radius + 1, 2 * radius + 1), bias=False)
        before = torch.arange(self.kernel.weight[0, 0].numel()) < radius * (2 * radius + 2)
        self.register_buffer(
            "causal", before.float().reshape(self.kernel.weight.shape[2:]), persistent=False
        )

    def forward(self, x: Tensor) -> Tensor:
        """Rows (batch, size) to (batch · pixels, channels)."""
        planes = x.reshape(-1, *self.image).permute(0, 3, 1, 2)
        padded = F.pad(planes, (self.radius, self.radius, self.radius, 0))
        seen = F.conv2d(padded, self.kernel.weight * self.causal)
        return seen.permute(0, 2, 3, 1).flatten(0, 2)

    def kernel_matrix(self) -> Tensor:
        """The kernel for the last stretch of the line, flattened with the oldest pixel first.

        (stretch · colours, channels), where the stretch is radius · (width + radius + 1) pixels.
        """
        apart = F.pad(self.kernel.weight, (0, self.stride - self.kernel.weight.shape[3]))
        stretch = apart.flatten(2)[:, :, : self.radius * (self.stride + 1)]
        return stretch.permute(2, 1, 0).flatten(0, 1)

    def to_line(self, pixels: Tensor) -> Tensor:
        """(batch, pixels, n) to the line (length, batch, n), length = height · (width + radius)."""
        rows = torch.unflatten(pixels, 1, self.image[:2])
        return F.pad(rows, (0, 0, 0, self.radius)).flatten(1, 2).transpose(0, 1)

    def from_line(self, line: Tensor) -> Tensor:
        """The line (length, batch, colours) to rows (batch, size), without the margin."""
        rows = torch.unflatten(line.transpose(0, 1), 1, (self.image[0], self.stride))
        return rows[:, :, : self.image[1]].flatten(1)
