"""p(x|z) = Π p(x_i | x_<i, z) over the pixels of an image, in reading order.

A small gated PixelCNN (van den Oord et al. 2016) in one layer: each pixel sees those before it in a
window, by a masked convolution, and what the decoder says of its own place; gated layers follow
that see nothing else. So all pixels of a given x are done at once, and when pixels are made one by
one each costs the same, whatever the size of the image: the rows of the window are all that has to
be remembered (the cache of Ramachandran et al. 2017).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vae.layers import Residual, function, width
from vae.likelihoods.base import Likelihood
from vae.manifest import Autoregression, InputSpec
from vae.scan import scan


class Autoregressive(Likelihood):
    """A likelihood of pixels that know those before them.

    The decoder puts out ``features`` for each element, (batch, size · features), from which and
    from x the parameters of ``pixel``, the likelihood of a pixel, are made. The colours of a pixel
    depend on each other only where ``pixel`` says so. ``scale`` is how the network sees x.
    """

    def __init__(
        self, spec: Autoregression, image: InputSpec, pixel: Likelihood, scale: nn.Module
    ) -> None:
        super().__init__()
        self.params_per_element = spec.features
        self.pixel = pixel
        self.scale = scale
        colours = image.shape[2] if len(image.shape) == 3 else 1
        inner = width(spec.channels, "gated")
        self.window = Window(image.shape[0], image.shape[1], colours, spec.radius, inner)
        self.place = nn.Linear(colours * spec.features, inner)
        self.layers = nn.Sequential(
            function("gated"),
            *(Residual(nn.Linear, spec.channels, "gated") for _ in range(spec.layers)),
            nn.Linear(spec.channels, colours * pixel.params_per_element),
        )

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        return self.pixel.log_prob(self.given(params, x), x)

    def mean(self, params: Tensor) -> Tensor:
        """x̂ with x̂_i = E[x_i | x̂_<i, z]: the path of the conditional means.

        The mean of p(x|z) itself has no closed form. This is what it would be if every pixel were
        certain, and like it follows from z alone.
        """
        return self._walk(params, self.pixel.mean)

    def sample(self, params: Tensor, noise: torch.Generator) -> Tensor:
        return self._walk(params, lambda pixel: self.pixel.sample(pixel, noise))

    def own_parameters(self) -> list[nn.Parameter]:
        return self.pixel.own_parameters()

    def log_prob_in_units(self, params: Tensor, x: Tensor, scale: Tensor, *, whole: bool) -> Tensor:
        return self.pixel.log_prob_in_units(self.given(params, x), x, scale, whole=whole)

    def given(self, params: Tensor, x: Tensor) -> Tensor:
        """The parameters of every pixel given those of x before it, (batch, size · …)."""
        hidden = self.window(self.scale(x)) + self._places(params).flatten(0, 1)
        return torch.unflatten(self.layers(hidden), 0, (-1, self.window.pixels)).flatten(1)

    def _places(self, params: Tensor) -> Tensor:
        """What the decoder says of each pixel, (batch, pixels, inner)."""
        places: Tensor = self.place(torch.unflatten(params, 1, (-1, self.place.in_features)))
        return places

    def _walk(self, params: Tensor, choose: Callable[[Tensor], Tensor]) -> Tensor:
        """x with each pixel chosen from its parameters given those before it, (batch, size)."""
        weight = self.window.matrix()

        def step(seen: Tensor, place: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
            pixel = choose(self.layers(place + seen @ weight)) * real
            return torch.cat([seen[:, pixel.shape[1] :], self.scale(pixel)], dim=1), pixel

        places = self._places(params)
        real = self.window.line_up(torch.ones_like(places[:1, :, :1])).flatten()
        seen = torch.zeros_like(params[:, :1]).repeat(1, len(weight))
        line = scan(step, seen, (self.window.line_up(places), real))
        return self.window.pick(line)


class Window(nn.Module):
    """A masked convolution: what the pixels before each, at most ``radius`` away, add up to.

    For one pixel after another the image is a line, its rows separated by ``radius`` zeros, which
    are the margin on both sides. Along the line the window is always the same numbers of pixels
    back, so that all it needs is the line's last stretch, and the kernel as a matrix.
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

    def matrix(self) -> Tensor:
        """From the line's last stretch, flattened with the oldest pixel first, to the channels."""
        apart = F.pad(self.kernel.weight, (0, self.stride - self.kernel.weight.shape[3]))
        stretch = apart.flatten(2)[:, :, : self.radius * (self.stride + 1)]
        return stretch.permute(2, 1, 0).flatten(0, 1)

    def line_up(self, pixels: Tensor) -> Tensor:
        """(batch, pixels, n) to the line (length, batch, n)."""
        rows = torch.unflatten(pixels, 1, self.image[:2])
        return F.pad(rows, (0, 0, 0, self.radius)).flatten(1, 2).transpose(0, 1)

    def pick(self, line: Tensor) -> Tensor:
        """The line (length, batch, colours) to rows (batch, size)."""
        rows = torch.unflatten(line.transpose(0, 1), 1, (self.image[0], self.stride))
        return rows[:, :, : self.image[1]].flatten(1)
