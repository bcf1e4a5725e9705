"""torch: serves the checkpoint, on the CPU and on CUDA."""

import logging
from collections.abc import Callable, Sequence

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from service.arrays import Precision
from service.runtimes import cuda
from service.runtimes.padded import Rows
from service.runtimes.runtime import RuntimeUnusable
from vae.bundle import Bundle
from vae.graphs import DECODER, ENCODER, POSTERIOR, PRIOR, SCORER, Graph
from vae.networks import VAE

logger = logging.getLogger(__name__)

Function = Callable[..., tuple[Tensor, ...]]


class TorchRuntime:
    """The networks built from the manifest, with the weights of the checkpoint.

    In bfloat16 the encoder and the decoder are; p(x|z) and what lies between them stay float32. On
    CUDA each graph of a bundle is captured as CUDA graphs.
    """

    def __init__(
        self, bundle: Bundle, *, device: str, threads: int, precision: Precision = "float32"
    ) -> None:
        _prepare(device, threads, precision)
        vae = _load(bundle).to(device).frozen()
        if precision == "bfloat16":
            vae.encoder, vae.decoder = InBfloat16(vae.encoder), InBfloat16(vae.decoder)
        shapes = bundle.manifest.row_shapes
        functions = functions_of(vae)
        self._runs: dict[str, Callable[[Rows], Rows]] = {
            graph.name: _runner(
                graph.name, functions[graph.name], [shapes[name] for name in graph.inputs], device
            )
            for graph in bundle.manifest.graphs
        }

    def run(self, graph: Graph, inputs: Rows) -> Rows:
        return self._runs[graph.name](inputs)


class InBfloat16(nn.Module):
    """A network whose weights and activations are bfloat16, from float32 to float32."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.to(torch.bfloat16)

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.network(x.to(torch.bfloat16))
        return outputs.float()


def functions_of(vae: VAE) -> dict[str, Function]:
    """What computes each graph of ``vae.graphs``, by its name."""
    return {
        ENCODER.name: lambda x, c=None: vae.conditioned_on(c).encode(x),
        DECODER.name: lambda z, c=None: (vae.conditioned_on(c).decode(z),),
        SCORER.name: lambda x, z, c=None: (vae.conditioned_on(c).log_px_z(x, z),),
        POSTERIOR.name: vae.posterior,
        PRIOR.name: lambda noise, temperature: (vae.prior(noise, temperature),),
    }


def _prepare(device: str, threads: int, precision: Precision) -> None:
    """What torch knows of the whole process. Raises RuntimeUnusable."""
    if device == "cuda" and not torch.cuda.is_available():
        raise RuntimeUnusable("device 'cuda' was asked for, but torch sees no CUDA device")
    if device == "cpu" and precision == "tf32":
        raise RuntimeUnusable("precision 'tf32' was asked for, which a CPU does not have")
    torch.set_num_threads(threads)
    # By itself cuDNN takes TF32 for convolutions.
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"


def _load(bundle: Bundle) -> VAE:
    """The VAE of the checkpoint. Raises RuntimeUnusable when it is not what the bundle serves."""
    if bundle.manifest.quantization:
        raise RuntimeUnusable(
            f"the bundle's graphs are {bundle.manifest.quantization}, which its checkpoint, all "
            "that runtime 'torch' serves, is not; take runtime 'onnx'"
        )
    vae = VAE(bundle.manifest)
    try:
        vae.load_state_dict(safetensors.torch.load(bundle.files["checkpoint.safetensors"]))
    except (RuntimeError, SafetensorError) as error:
        raise RuntimeUnusable(f"the checkpoint does not fit the manifest: {error}") from None
    return vae


def _runner(
    name: str, function: Function, shapes: Sequence[tuple[int, ...]], device: str
) -> Callable[[Rows], Rows]:
    if device == "cuda":
        try:
            return cuda.captured(function, shapes).run
        except RuntimeError as error:
            logger.warning("no CUDA graph of the %s, its kernels run one by one: %s", name, error)
    return lambda inputs: _run(function, inputs, device)


def _run(function: Function, inputs: Rows, device: str) -> Rows:
    with torch.inference_mode():
        # A copy, since torch warns of arrays that are views of a request's read-only body.
        outputs = function(*(torch.tensor(array, device=device) for array in inputs))
        return tuple(output.cpu().numpy() for output in outputs)
