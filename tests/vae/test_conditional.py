"""Conditional models: encoder and decoder depend on each row's condition."""

import pytest
import torch

from vae.manifest import (
    BernoulliSpec,
    ClassCondition,
    ConvSpec,
    GaussianMixtureSpec,
    InputSpec,
    LatentsSpec,
    MLPSpec,
    ModelSpec,
    NetworkSpec,
    Preprocessing,
    VampPriorSpec,
    VectorCondition,
)
from vae.networks import VAE

PLAIN = LatentsSpec()
NETWORKS: list[NetworkSpec] = [MLPSpec(hidden=(5,)), ConvSpec(channels=(2,), hidden=5)]


def make_spec(network: NetworkSpec = NETWORKS[0], latents: LatentsSpec = PLAIN) -> ModelSpec:
    return ModelSpec(
        input=InputSpec(kind="image", shape=(8, 8), dtype="uint8", range=(0, 1)),
        latent_dim=2,
        likelihood=BernoulliSpec(),
        network=network,
        latents=latents,
        condition=ClassCondition(names=("a", "b", "c")),
    )


@pytest.fixture(params=NETWORKS, ids=lambda network: network.kind)
def vae(request: pytest.FixtureRequest) -> VAE:
    torch.manual_seed(0)
    return VAE(make_spec(request.param)).eval()


@torch.no_grad()
def test_every_graph_depends_on_the_condition(vae: VAE) -> None:
    x, z = torch.rand(3, 8, 8), torch.randn(3, 2)
    first, second = (vae.conditioned_on(torch.eye(3)[[k, k, k]]) for k in (0, 1))
    for function in (lambda v: v.encode(x)[0], lambda v: v.decode(z), lambda v: v.log_px_z(x, z)):
        assert (function(first) != function(second)).reshape(3, -1).any(dim=1).all()


@torch.no_grad()
def test_each_row_has_its_own_condition_also_over_several_draws(vae: VAE) -> None:
    z, c = torch.randn(6, 2), torch.eye(3)
    decoded = vae.conditioned_on(c).decoder(z)
    for row in range(6):
        alone = vae.conditioned_on(c[row % 3][None]).decoder(z[row][None])
        torch.testing.assert_close(decoded[row], alone[0])


@torch.no_grad()
def test_conditions_are_in_the_units_of_the_data(vae: VAE) -> None:
    units = VectorCondition(
        names=("a", "b", "c"), preprocessing=Preprocessing(shift=(5,), scale=(1, 2, 4))
    )
    scaled = VAE(vae.spec.model_copy(update={"condition": units})).eval()
    weights = vae.state_dict()
    scaled.load_state_dict(weights, strict=False)
    c, z = torch.randn(4, 3), torch.randn(4, 2)
    in_units = c * torch.tensor([1, 2, 4]) + 5
    torch.testing.assert_close(
        scaled.conditioned_on(in_units).decode(z), vae.conditioned_on(c).decode(z)
    )


def test_a_conditioned_vae_shares_the_weights_and_leaves_the_model_unchanged(vae: VAE) -> None:
    names = list(vae.state_dict())
    x, c = torch.rand(3, 8, 8), torch.eye(3)
    draw = (
        vae.conditioned_on(c).encode(x)[0].sum()
        + vae.conditioned_on(c).decode(torch.randn(3, 2)).sum()
    )
    draw.backward()
    assert all(
        weight.grad is not None and weight.grad.any()
        for name, weight in vae.named_parameters()
        if name.startswith(("encoder", "decoder"))
    )
    assert list(vae.state_dict()) == names
    assert vae.conditioned_on(None) is vae


def test_a_model_without_condition_stays_what_it_is() -> None:
    vae = VAE(make_spec().model_copy(update={"condition": None}))
    assert vae.conditioned_on(None) is vae
    assert [graph.inputs for graph in vae.spec.graphs] == [("x",), ("z",), ("x", "z")]


def test_the_graphs_take_the_condition_last() -> None:
    spec = make_spec(latents=LatentsSpec(prior=GaussianMixtureSpec(components=2)))
    inputs = {graph.name: graph.inputs for graph in spec.graphs}
    assert inputs["encoder"] == ("x", "c")
    assert inputs["decoder"] == ("z", "c")
    assert inputs["scorer"] == ("x", "z", "c")
    assert inputs["prior"] == ("noise", "temperature")


def test_what_makes_no_condition_is_refused() -> None:
    with pytest.raises(ValueError, match="distinct"):
        ClassCondition(names=("a", "a"))
    with pytest.raises(ValueError, match="names"):
        ClassCondition(names=("a",))
    with pytest.raises(ValueError, match="pseudo-inputs have no condition"):
        make_spec(latents=LatentsSpec(prior=VampPriorSpec(components=2)))
    with pytest.raises(ValueError, match="shift of the condition has 3 values; expected 1 or 2"):
        VectorCondition(names=("a", "b"), preprocessing=Preprocessing(shift=(1, 2, 3)))
