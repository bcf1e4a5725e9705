"""What the config allows is exported: all that can be chosen together gets through the gate.

The choices are the config's own literals, so that a new network, likelihood, prior or posterior is
in the product at once. Models of the product share graphs, and each graph is exported once.
"""

from collections.abc import Iterator
from itertools import product
from typing import Any, Literal, get_args, get_origin

import onnx
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from training.config.train_config import TrainConfig
from training.data.conditions import condition_tensor
from training.data.dataset import Dataset
from training.errors import ConfigError
from training.export.gate import BATCH_SIZES
from training.export.golden import gate_inputs
from training.export.graph_modules import MODULES
from training.export.onnx import export_graph
from training.model.resolve import resolve
from training.model.spec import model_spec
from vae.graphs import CONDITION, PRIOR, Graph
from vae.latents.priors import FrozenMixture
from vae.manifest import InputSpec, ModelSpec
from vae.networks import VAE
from vae.onnxruntime_no_telemetry import onnxruntime
from vae.relative_error import output_magnitudes

Choice = dict[str, Any]

SMALL = {
    "hidden": (3,),
    "channels": (2,),
    "prior_components": 2,
    "flow_layers": 1,
    "latents_hidden": 3,
    "logistics": 2,
    "causal_channels": 3,
    "causal_layers": 1,
}
SWITCHES: dict[str, tuple[Any, ...]] = {"ladder": (None, (1, 1)), "causal_radius": (0, 1)}


class Networks(nn.Module):
    """Encoder, decoder and scorer in one export instead of three."""

    graph = Graph("networks", inputs=("x", "z"), outputs=("mu", "logvar", "mean", "log_px_z"))

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, x: Tensor, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, ...]:
        given = self.vae.conditioned_on(c)
        return *given.encode(x), given.decode(z), given.log_px_z(x, z)


class Latents(nn.Module):
    """Posterior and prior in one export instead of two."""

    graph = Graph(
        "latents",
        inputs=("mu", "logvar", "eps", "noise", "temperature"),
        outputs=("z", "kl", "latents"),
    )

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = vae

    def forward(
        self, mu: Tensor, logvar: Tensor, eps: Tensor, noise: Tensor, temperature: Tensor
    ) -> tuple[Tensor, ...]:
        return *self.vae.posterior(mu, logvar, eps), self.vae.prior(noise, temperature)


Exported = type[Networks] | type[Latents]


def literals(option: str) -> tuple[str, ...]:
    """The names that the config takes for an option; ``auto`` is one of the others."""
    return tuple(_names(TrainConfig.model_fields[option].annotation))


def _names(annotation: Any) -> Iterator[str]:
    for part in get_args(annotation):
        if get_origin(annotation) is not Literal:
            yield from _names(part)
        elif part != "auto":
            yield part


def pictures() -> Dataset:
    """Bytes in colour, of three classes; as many as the gate asks for, as small as conv takes."""
    noise = torch.Generator().manual_seed(0)
    rows = max(BATCH_SIZES)
    x = torch.randint(0, 256, (rows, 8, 8, 3), generator=noise, dtype=torch.uint8)
    spec = InputSpec(kind="image", shape=(8, 8, 3), dtype="uint8", range=(0, 255))
    return Dataset(x, spec, torch.arange(rows) % 3)


IMAGES = pictures()


def spec_of(choice: Choice) -> ModelSpec:
    """The model of a choice, small. Raises what a user sees before training starts."""
    config = resolve(TrainConfig(data="digits", latent_dim=2, **choice), IMAGES)
    small = {name: value for name, value in SMALL.items() if name not in choice}
    return model_spec(config.model_copy(update=small), IMAGES)


def allowed(choice: Choice) -> bool:
    """Whether training would start."""
    try:
        spec_of(choice)
    except (ConfigError, ValidationError):
        return False
    return True


def vae_of(choice: Choice) -> VAE:
    """With weights that are all far from 0."""
    torch.manual_seed(0)
    vae = VAE(spec_of(choice))
    for parameter in vae.parameters():
        nn.init.normal_(parameter, std=0.3)
    return vae.eval().frozen()


def exported(vae: VAE, part: Exported = Networks) -> bytes:
    """Through the gate, or ExportError."""
    c = condition_tensor(IMAGES, vae.spec)
    inputs = gate_inputs(vae, IMAGES.x, 0, c)
    told = part.graph.with_input(CONDITION) if c is not None and part is Networks else part.graph
    return export_graph(told, part(vae), inputs, output_magnitudes(vae.spec))


def makings(vae: VAE) -> dict[str, Exported]:
    """The parts that a model's graphs are made of, and the graph in which each is.

    Networks and likelihood are parts, and so is the pair of their kinds.
    """
    spec, networks = vae.spec, anatomy(vae.encoder) + anatomy(vae.decoder)
    pair = f"{spec.network.kind} {spec.likelihood.kind}"
    latents = {} if spec.latents.closed_form else {anatomy(vae.latents): Latents}
    return dict.fromkeys((pair, networks, anatomy(vae.likelihood)), Networks) | latents


def anatomy(module: nn.Module) -> str:
    """Every module in it with its own constants and the shapes of its weights."""
    plain = (bool, int, float, str, tuple)
    return "\n".join(
        f"{name} {type(part).__qualname__} {part.extra_repr()} "
        f"{ {key: value for key, value in vars(part).items() if isinstance(value, plain)} } "
        f"{[tuple(weight.shape) for weight in part.parameters(recurse=False)]}"
        for name, part in module.named_modules()
    )


def choices(network: str, likelihood: str) -> Iterator[Choice]:
    """All that can be chosen with a network and a likelihood, allowed or not."""
    others = {name: literals(name) for name in ("prior", "posterior")} | SWITCHES
    if likelihood == "gaussian":
        others["variance"] = literals("variance")
    for chosen in product(*others.values()):
        picked = dict(zip(others, chosen, strict=True))
        yield {"network": network, "likelihood": likelihood, **picked}


@pytest.fixture(scope="module")
def passed() -> set[str]:
    """The parts of the graphs that have passed the gate."""
    return set()


@pytest.mark.parametrize("likelihood", literals("likelihood"))
@pytest.mark.parametrize("network", literals("network"))
def test_all_that_the_config_allows_passes_the_gate(
    network: str, likelihood: str, passed: set[str]
) -> None:
    for choice in filter(allowed, choices(network, likelihood)):
        vae = vae_of(choice)
        made_of = makings(vae)
        for part in {made_of[new] for new in made_of.keys() - passed}:
            exported(vae, part)
        passed.update(made_of)


def test_nothing_is_refused_but_what_has_no_graph() -> None:
    pairs = product(literals("network"), literals("likelihood"))
    for choice in (choice for pair in pairs for choice in choices(*pair)):
        by_flow = choice["prior"] == "vamp" and choice["posterior"] != "diagonal"
        by_element = "negative-binomial" in choice.values() or "per-element" in choice.values()
        assert allowed(choice) != (by_flow or (by_element and choice["causal_radius"] > 0)), choice


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"prior": "vamp", "posterior": "iaf"}, "density is known only at its own draws"),
        ({"prior": "vamp", "conditional": True}, "a conditional model cannot have the vamp prior"),
        (
            {"likelihood": "negative-binomial", "causal_radius": 1},
            "needs a likelihood that is the same for all pixels",
        ),
    ],
)
def test_what_has_no_graph_is_refused_before_training(choice: Choice, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        spec_of(choice)


@pytest.mark.parametrize("activation", literals("activation"))
@pytest.mark.parametrize("network", literals("network"))
def test_every_activation_passes_the_gate(network: str, activation: str) -> None:
    assert exported(vae_of({"network": network, "activation": activation, "residual_blocks": 1}))


@pytest.mark.parametrize("network", literals("network"))
def test_conditional_models_pass_the_gate(network: str) -> None:
    assert exported(vae_of({"network": network, "conditional": True}))


def test_a_linear_model_passes_the_gate() -> None:
    assert exported(vae_of({"hidden": ()}))


def test_a_pixel_hundreds_of_scales_from_its_mean_has_a_finite_score() -> None:
    vae = vae_of({"likelihood": "logistic", "logistics": 1})
    with torch.no_grad():
        vae.decoder.get_parameter("2.bias").view(-1, 4)[:, 2] = -6  # log of the scale
    assert exported(vae)


def test_engines_choose_alike_of_many_components_also_where_one_ends() -> None:
    vae = vae_of({"prior": "mixture", "prior_components": 500})
    (prior,) = (part for part in vae.latents.modules() if isinstance(part, FrozenMixture))
    module, inputs = MODULES[PRIOR.name](vae), gate_inputs(vae, IMAGES.x, 0)
    content = export_graph(PRIOR, module, inputs, output_magnitudes(vae.spec))
    noise, temperature = torch.zeros(499, 3), torch.ones(499)
    noise[:, 0] = prior.boundaries
    given = {"noise": noise.numpy(), "temperature": temperature.numpy()}
    (found,) = onnxruntime.InferenceSession(content).run(None, given)
    torch.testing.assert_close(torch.from_numpy(found), module(noise, temperature))


def test_pixels_are_made_in_one_loop_and_not_in_a_copy_for_each() -> None:
    content = exported(vae_of({"causal_radius": 1}))
    operators = [node.op_type for node in onnx.load_from_string(content).graph.node]
    assert operators.count("Scan") == 1
    assert len(operators) < 200
