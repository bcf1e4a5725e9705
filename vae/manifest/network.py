"""The sections ``network`` and ``autoregression``: the architecture of encoder and decoder."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from vae.manifest.section import Section

Activation = Literal["relu", "tanh", "gelu", "silu", "gated"]


class LayerSpec(Section):
    """What all hidden layers of encoder and decoder have in common.

    ``gated`` is the gated linear unit of ``vae.layers``. Each hidden layer is followed by
    ``residual_blocks`` residual blocks.
    """

    activation: Activation = "relu"
    residual_blocks: NonNegativeInt = 0


class MLPSpec(LayerSpec):
    """Fully connected networks. ``hidden`` are the widths from x to z, reversed in the decoder."""

    kind: Literal["mlp"] = "mlp"
    hidden: tuple[PositiveInt, ...] = (128,)


class ConvSpec(LayerSpec):
    """Convolutional networks for images of at least 8×8 pixels.

    Each of ``channels`` is a level that halves height and width. ``hidden`` is the width of the
    fully connected layer between the convolutions and z.
    """

    kind: Literal["conv"] = "conv"
    channels: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (32, 64)
    hidden: PositiveInt = 256


NetworkSpec = Annotated[MLPSpec | ConvSpec, Field(discriminator="kind")]


class AutoregressionSpec(Section):
    """p(x|z) = Π_i p(x_i | x_<i, z): pixels depend on the pixels before them as well as on z.

    - ``radius`` is how many rows above and columns to either side a pixel receives.
    - ``features`` is how many numbers the decoder puts out for each element, in place of the
      likelihood's parameters.
    - ``channels`` is the width of the ``layers`` that compute these parameters from both.
    """

    radius: PositiveInt = 3
    features: PositiveInt = 8
    channels: PositiveInt = 32
    layers: NonNegativeInt = 2
