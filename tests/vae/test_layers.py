"""Layers: the formulas that the docs give, for rows and for pictures."""

import pytest
import torch
from torch import nn

from vae.convolutional import conv3x3
from vae.layers import ACTIVATIONS, LinearFactory, ResidualBlock, activated_layer
from vae.manifest import Activation
from vae.mlp import mlp

KINDS: list[tuple[LinearFactory, tuple[int, ...]]] = [(nn.Linear, ()), (conv3x3, (5, 4))]


@pytest.mark.parametrize(("linear", "plane"), KINDS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_layer_has_the_channels_it_is_asked_for(
    linear: LinearFactory, plane: tuple[int, ...], activation: Activation
) -> None:
    module = nn.Sequential(*activated_layer(linear, 3, 6, activation))
    assert module(torch.randn(2, 3, *plane)).shape == (2, 6, *plane)


def test_gated_is_a_product_with_a_sigmoid() -> None:
    linear, function = activated_layer(nn.Linear, 3, 2, "gated")
    x = torch.randn(5, 3)
    a, b = linear(x)[:, :2], linear(x)[:, 2:]
    torch.testing.assert_close(function(linear(x)), a * torch.sigmoid(b))


@pytest.mark.parametrize(("linear", "plane"), KINDS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_residual_block_begins_as_nothing_and_learns(
    linear: LinearFactory, plane: tuple[int, ...], activation: Activation
) -> None:
    torch.manual_seed(0)
    block = ResidualBlock(linear, 3, activation)
    x = torch.randn(4, 3, *plane)
    assert torch.equal(block(x), x)
    optimiser = torch.optim.SGD(block.parameters(), lr=0.1)
    for _ in range(2):  # the inner layer gets its first gradient when the outer one is no longer 0
        optimiser.zero_grad()
        block(x).square().mean().backward()
        optimiser.step()
    assert all((parameter.grad != 0).any() for parameter in block.parameters())
    assert not torch.equal(block(x), x)


def test_two_hidden_layers_with_tanh() -> None:
    network = mlp((6, 5, 4, 2), "tanh")
    x = torch.randn(3, 6)
    first, second, last = (module for module in network if isinstance(module, nn.Linear))
    expected = last(torch.tanh(second(torch.tanh(first(x)))))
    torch.testing.assert_close(network(x), expected)


def test_every_activated_layer_has_its_residual_blocks() -> None:
    network = mlp((6, 5, 4, 2), "relu", residual_blocks=2)
    kinds = [type(module).__name__ for module in network]
    assert kinds == ["Linear", "ReLU", "ResidualBlock", "ResidualBlock"] * 2 + ["Linear"]
