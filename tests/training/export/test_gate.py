"""The gate, against graphs that each carry one fault an exporter makes silently."""

from io import BytesIO
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from training.errors import ExportError
from training.export import gate
from training.export.onnx import export_graph
from vae.graphs import DECODER, Graph

ROWS = max(gate.BATCH_SIZES)
INPUTS = {"z": torch.randn(ROWS, 2, generator=torch.Generator().manual_seed(0))}
SIZES = {"mean": 1.0}


class Double(nn.Module):
    """What every graph below claims to be: z ↦ 2z."""

    def forward(self, z: Tensor) -> Tensor:
        return 2 * z


class FrozenBatch(nn.Module):
    """The trap: int() of a symbolic size is a constant from then on."""

    def forward(self, z: Tensor) -> Tensor:
        return 2 * z.reshape(int(z.shape[0]), 2) * torch.ones(3, 1)


class Noisy(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return z + torch.randn_like(z)


def model(
    batch: int | str = "batch", factor: float = 2.0, output: str = "mean", operator: str = "Mul"
) -> onnx.ModelProto:
    """A hand-made graph z ↦ factor · z."""
    shape = [batch, 2]
    nodes = [helper.make_node(operator, ["z", "factor"], [output])]
    if operator != "Mul":
        nodes = [
            helper.make_node(operator, ["z"], ["noise"]),
            helper.make_node("Mul", ["noise", "factor"], [output]),
        ]
    graph = helper.make_graph(
        nodes,
        "double",
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.float32([factor]), "factor")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


class Cancelling(nn.Module):
    """The same, by a way on which float32 loses digits."""

    def forward(self, z: Tensor) -> Tensor:
        return (2 * z + 1000) - 1000


def check(graph: onnx.ModelProto, claimed: Graph = DECODER) -> None:
    gate.check_graph(claimed, graph.SerializeToString(), Double(), INPUTS, SIZES)


def test_a_good_graph_passes() -> None:
    check(model())
    check(model(factor=2.0 * (1 + 1e-6)))


def test_no_more_is_asked_than_float32_can_give() -> None:
    graph = model().SerializeToString()
    lost = (Cancelling()(INPUTS["z"]) - 2 * INPUTS["z"]).abs().max()
    assert lost > gate.TOLERANCE
    gate.check_graph(DECODER, graph, Cancelling(), INPUTS, SIZES)
    wrong = model(factor=2.001).SerializeToString()
    with pytest.raises(ExportError, match="differs by"):
        gate.check_graph(DECODER, wrong, Cancelling(), INPUTS, SIZES)


def test_a_fixed_batch_is_refused() -> None:
    with pytest.raises(ExportError, match="batch dimension of z is not symbolic but 2"):
        check(model(batch=2))


def test_another_name_is_refused() -> None:
    with pytest.raises(ExportError, match=r"decoder: its outputs are \['y'\], not \['mean'\]"):
        check(model(output="y"))


@pytest.mark.parametrize("operator", ["RandomNormalLike", "RandomUniformLike", "Bernoulli"])
def test_noise_is_refused(operator: str) -> None:
    with pytest.raises(ExportError, match=rf"decoder: it draws random numbers \({operator}\)"):
        check(model(operator=operator))


def test_noise_inside_a_branch_is_refused() -> None:
    inner = model(operator="RandomNormalLike").graph
    outer = model()
    outer.graph.node[0].attribute.append(helper.make_attribute("then_branch", inner))
    with pytest.raises(ExportError, match="draws random numbers"):
        check(outer)


def test_weights_in_a_second_file_are_refused(tmp_path: Path) -> None:
    split = model()
    onnx.save(
        split, tmp_path / "a.onnx", save_as_external_data=True, size_threshold=0, location="a.data"
    )
    kept = onnx.load(tmp_path / "a.onnx", load_external_data=False)
    with pytest.raises(ExportError, match="decoder: the weights factor are in a second file"):
        check(kept)


@pytest.mark.parametrize("factor", [2.0001, float("nan")])
def test_other_numbers_are_refused_with_the_difference(factor: float) -> None:
    with pytest.raises(ExportError, match=r"decoder: at batch size 1 mean differs by .* 1e-05 is"):
        check(model(factor=factor))


def test_a_graph_that_fails_at_some_size_is_refused() -> None:
    graph = model()
    graph.graph.initializer[0].CopyFrom(
        numpy_helper.from_array(np.full((3, 1), 2, np.float32), "factor")
    )
    with pytest.raises(ExportError, match=r"at batch size 1 mean is float32\[3, 2\] .*\[1, 2\]"):
        check(graph)


def test_what_is_not_onnx_for_the_runtime_is_refused() -> None:
    graph = model()
    graph.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(ExportError, match="decoder: onnxruntime cannot load it"):
        check(graph)


def test_a_graph_whose_rows_know_of_each_other_is_refused() -> None:
    together = model(factor=1.0)
    node = together.graph.node[0]
    node.op_type = "Div"  # by the largest of the batch, as scales that follow it are
    node.input[1] = "largest"
    largest = helper.make_node("ReduceMax", ["z"], ["largest"], keepdims=0)
    together.graph.node.insert(0, largest)
    gate.check_batch_invariance(DECODER, model().SerializeToString(), INPUTS, SIZES)
    with pytest.raises(ExportError, match=r"mean of a row differs by .* a batch of 1 and of 257"):
        gate.check_batch_invariance(DECODER, together.SerializeToString(), INPUTS, SIZES)


@pytest.mark.parametrize("module", [FrozenBatch(), Noisy()])
def test_modules_with_these_faults_do_not_get_through_the_export(module: nn.Module) -> None:
    with pytest.raises(ExportError, match=r"^decoder: "):
        export_graph(DECODER, module, INPUTS, SIZES)


def test_a_good_module_comes_out_as_one_file_that_says_nothing(
    capfd: pytest.CaptureFixture[str],
) -> None:
    content = export_graph(DECODER, Double(), INPUTS, SIZES)
    onnx.checker.check_model(onnx.load(BytesIO(content)), full_check=True)
    assert capfd.readouterr() == ("", "")
