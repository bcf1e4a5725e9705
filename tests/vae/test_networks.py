"""The networks: shapes for every size, and rows that do not know of each other."""

import itertools

import pytest
import torch
from torch import Tensor

from vae.manifest import (
    BernoulliSpec,
    ConvSpec,
    GaussianSpec,
    InputSpec,
    LadderSpec,
    LatentsSpec,
    MLPSpec,
    ModelSpec,
    NetworkSpec,
    Preprocessing,
    VectorCondition,
)
from vae.networks import VAE, Preprocess

SHAPES = [(8, 8), (9, 8), (28, 28), (8, 8, 3), (13, 17, 3), (33, 10, 3)]
NETWORKS: list[NetworkSpec] = [
    MLPSpec(hidden=()),
    MLPSpec(hidden=(5, 4)),
    MLPSpec(hidden=(5, 4), activation="gated", residual_blocks=1),
    ConvSpec(channels=(4,), hidden=6),
    ConvSpec(channels=(4, 6, 8), hidden=6),
    ConvSpec(channels=(4, 6), hidden=6, activation="gated", residual_blocks=1),
]


def make_image_vae(shape: tuple[int, ...], network: NetworkSpec) -> VAE:
    torch.manual_seed(0)
    return VAE(
        ModelSpec(
            input=InputSpec(kind="image", shape=shape, dtype="uint8", range=(0, 255)),
            preprocessing=Preprocessing(scale=(255.0,)),
            latent_dim=3,
            likelihood=BernoulliSpec(),
            network=network,
        )
    ).eval()


@pytest.mark.parametrize(("shape", "network"), [*itertools.product(SHAPES, NETWORKS)])
def test_shapes(shape: tuple[int, ...], network: NetworkSpec) -> None:
    vae = make_image_vae(shape, network)
    x, z = 255 * torch.rand(2, *shape), torch.randn(2, 3)
    mu, logvar = vae.encode(x)
    assert mu.shape == logvar.shape == (2, 3)
    mean = vae.decode(z)
    assert mean.shape == x.shape
    assert 0 <= mean.min() < mean.max() <= 255
    assert vae.log_px_z(x, z).shape == (2,)


@pytest.mark.parametrize("shape", [(9, 8), (13, 17, 3)])
@pytest.mark.parametrize("network", NETWORKS)
def test_a_row_is_the_same_alone_and_in_a_batch(
    shape: tuple[int, ...], network: NetworkSpec
) -> None:
    vae = make_image_vae(shape, network)
    x, z = 255 * torch.rand(5, *shape), torch.randn(5, 3)
    together = (*vae.encode(x), vae.decode(z), vae.log_px_z(x, z))
    for row in range(5):
        one = slice(row, row + 1)
        alone = (*vae.encode(x[one]), vae.decode(z[one]), vae.log_px_z(x[one], z[one]))
        for a, b in zip(alone, together, strict=True):
            torch.testing.assert_close(a, b[one], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("network", NETWORKS)
def test_colours_stay_with_their_pixels(network: NetworkSpec) -> None:
    vae = make_image_vae((8, 9, 3), network)
    x = torch.zeros(1, 8, 9, 3)
    x[0, 2, 5, 1] = 255
    flat = torch.zeros(1, 8 * 9 * 3)
    flat[0, (2 * 9 + 5) * 3 + 1] = 1
    assert torch.equal(vae.preprocess(x), flat)
    with torch.no_grad():
        logits = vae.decoder(torch.zeros(1, 3))
        mean = vae.decode(torch.zeros(1, 3)) / 255
    torch.testing.assert_close(mean.flatten(1), torch.sigmoid(logits))


@pytest.mark.parametrize("network", NETWORKS)
def test_the_parameters_of_an_element_lie_side_by_side(network: NetworkSpec) -> None:
    """Two a colour: a mean and a log variance, of each colour of each pixel in turn."""
    spec = make_image_vae((8, 9, 3), network).spec
    vae = VAE(spec.model_copy(update={"likelihood": GaussianSpec(variance="decoder")}))
    last = [module for module in vae.decoder.modules() if hasattr(module, "bias")][-1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(torch.arange(last.bias.numel()))
        params = vae.decoder(torch.zeros(1, 3)).reshape(8, 9, 3, 2)
        mean = vae.decode(torch.zeros(1, 3))[0] / 255
    torch.testing.assert_close(mean, params[..., 0])
    assert torch.equal(params[..., 1], params[..., 0] + 1)


def test_conv_sees_neighbours_as_neighbours() -> None:
    vae = make_image_vae((16, 16, 3), ConvSpec(channels=(4,), hidden=6))
    planes: list[Tensor] = []
    vae.encoder.convolutions.register_forward_hook(lambda *call: planes.append(call[2]))
    x = torch.zeros(2, 16, 16, 3)
    x[1, 4, 10, 2] = 255
    vae.encode(x)
    changed = (planes[0][1] - planes[0][0]).abs().sum(0).nonzero()
    assert changed.float().mean(0).tolist() == pytest.approx([2, 5], abs=0.5)  # halved


def test_preprocessing_and_its_inverse() -> None:
    preprocess = Preprocess(Preprocessing(shift=(1.0, 2.0, 3.0), scale=(2.0, 4.0, 8.0)))
    x = torch.tensor([[3.0, 6.0, 11.0], [1.0, 2.0, 3.0]])
    assert preprocess(x).tolist() == [[1, 1, 1], [0, 0, 0]]
    assert torch.equal(preprocess.invert(preprocess(x)), x)


def test_preprocessing_goes_with_the_weights() -> None:
    spec = ModelSpec(
        input=InputSpec(kind="vector", shape=(2,), dtype="float32"),
        preprocessing=Preprocessing(shift=(5.0,), scale=(3.0,)),
        latent_dim=1,
        likelihood=GaussianSpec(variance="learned"),
        network=MLPSpec(hidden=()),
    )
    assert {"preprocess.shift", "preprocess.scale"} <= VAE(spec).state_dict().keys()


def test_a_checkpoint_with_former_tensor_names_is_read() -> None:
    spec = ModelSpec(
        input=InputSpec(kind="vector", shape=(3,), dtype="float32"),
        latent_dim=4,
        likelihood=GaussianSpec(),
        network=MLPSpec(hidden=(5,)),
        latents=LatentsSpec(ladder=LadderSpec(layers=(2, 2), hidden=4)),
        condition=VectorCondition(names=("a",), preprocessing=Preprocessing(scale=(2.0,))),
    )
    vae = VAE(spec)
    former = {
        name.replace("preprocess_condition.", "told.").replace(
            "latents.layers.", "latents.rungs."
        ): tensor
        for name, tensor in vae.state_dict().items()
    }
    assert {"told.scale", "latents.rungs.0.prior.0.weight"} <= former.keys()
    other = VAE(spec)
    other.load_state_dict(former)
    for name, tensor in other.frozen().state_dict().items():
        assert torch.equal(tensor, vae.state_dict()[name])
