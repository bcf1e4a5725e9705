"""torch: serves the checkpoint, on the CPU and on CUDA."""

import logging
from collections.abc import Callable, Sequence
from typing import Final

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from service.arrays import Precision
from service.errors import InternalError
from service.runtimes import cuda
from service.runtimes.padded import Rows
from service.runtimes.runtime import RuntimeUnusable
from vae.bundle import Bundle
from vae.graphs import DECODER, ENCODER, POSTERIOR, PRIOR, SCORER, Graph
from vae.networks import VAE

logger = logging.getLogger(__name__)

Function = Callable[..., tuple[Tensor, ...]]

OUT_OF_MEMORY: Final = (
    "the device is out of memory: serve fewer models or versions on it, or lower max_batch_rows"
)


class TorchRuntime:
    """The networks built from the manifest, with the weights of the checkpoint.

    With ``bfloat16`` the encoder and the decoder compute in bfloat16; p(x|z) and the latents stay
    float32. On CUDA each graph of a bundle is captured as CUDA graphs, except those of an
    autoregressive p(x|z), which have some 20 kernels for each pixel.
    """

    def __init__(
        self, bundle: Bundle, *, device: str, threads: int, precision: Precision = "float32"
    ) -> None:
        _configure(device, threads, precision)
        try:
            vae = _load(bundle).to(device).frozen()
        except torch.OutOfMemoryError:
            raise RuntimeUnusable(OUT_OF_MEMORY) from None
        if precision == "bfloat16":
            vae.encoder, vae.decoder = InBfloat16(vae.encoder), InBfloat16(vae.decoder)
        shapes = bundle.manifest.row_shapes
        functions = functions_of(vae)
        autoregressive = bundle.manifest.autoregression is not None
        self._runs: dict[str, Callable[[Rows], Rows]] = {
            graph.name: _runner(
                graph.name,
                functions[graph.name],
                [shapes[name] for name in graph.inputs],
                device,
                captured=device == "cuda" and not (autoregressive and graph == DECODER),
            )
            for graph in bundle.manifest.graphs
        }

    def run(self, graph: Graph, inputs: Rows) -> Rows:
        """Raises InternalError, in one line, if the device runs out of memory."""
        try:
            return self._runs[graph.name](inputs)
        except torch.OutOfMemoryError:
            logger.error("%s: %s", graph.name, OUT_OF_MEMORY)
            raise InternalError("the device is out of memory") from None


class InBfloat16(nn.Module):
    """A network whose weights and activations are bfloat16, from float32 to float32."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.to(torch.bfloat16)

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.network(x.to(torch.bfloat16))
        return outputs.float()


def functions_of(vae: VAE) -> dict[str, Function]:
    """The function of tensors for each graph of ``vae.graphs``, by its name."""
    return {
        ENCODER.name: lambda x, c=None: vae.conditioned_on(c).encode(x),
        DECODER.name: lambda z, c=None: (vae.conditioned_on(c).decode(z),),
        SCORER.name: lambda x, z, c=None: (vae.conditioned_on(c).log_px_z(x, z),),
        POSTERIOR.name: vae.posterior,
        PRIOR.name: lambda noise, temperature: (vae.prior(noise, temperature),),
    }


def _configure(device: str, threads: int, precision: Precision) -> None:
    """Set torch's options of the whole process. Raises RuntimeUnusable."""
    if device == "cuda" and not torch.cuda.is_available():
        raise RuntimeUnusable("device 'cuda' was asked for, but torch sees no CUDA device")
    if device == "cpu" and precision == "tf32":
        raise RuntimeUnusable("precision 'tf32' was asked for, which a CPU does not have")
    torch.set_num_threads(threads)
    # By default cuDNN takes TF32 for convolutions. The newer fp32_precision cannot be used yet:
    # after it is set to "ieee", torch.export of torch 2.13 fails when it reads these switches.
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"


def _load(bundle: Bundle) -> VAE:
    """The VAE of the checkpoint. Raises RuntimeUnusable when it is not what the bundle serves."""
    if bundle.manifest.quantization:
        raise RuntimeUnusable(
            f"the bundle's graphs are {bundle.manifest.quantization} and its checkpoint is not; "
            "runtime 'torch' serves the checkpoint, so use runtime 'onnx'"
        )
    vae = VAE(bundle.manifest)
    try:
        vae.load_state_dict(safetensors.torch.load(bundle.files["checkpoint.safetensors"]))
    except (RuntimeError, SafetensorError) as error:
        raise RuntimeUnusable(f"the checkpoint does not fit the manifest: {error}") from None
    return vae


def _runner(
    name: str,
    function: Function,
    shapes: Sequence[tuple[int, ...]],
    device: str,
    *,
    captured: bool,
) -> Callable[[Rows], Rows]:
    if captured:
        try:
            return cuda.capture(function, shapes).run
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            logger.warning("no CUDA graph of %s, its kernels run one by one: %s", name, reason)
    return lambda inputs: _run(function, inputs, device)


def _run(function: Function, inputs: Rows, device: str) -> Rows:
    with torch.inference_mode():
        # A copy, since torch warns of arrays that are views of a read-only body.
        outputs = function(*(torch.tensor(array, device=device) for array in inputs))
        return tuple(output.cpu().numpy() for output in outputs)
