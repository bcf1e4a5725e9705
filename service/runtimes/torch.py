"""torch: serves the checkpoint, on the CPU and on CUDA."""

from collections.abc import Callable

import safetensors.torch
import torch
from safetensors import SafetensorError

from service.arrays import Float32
from service.runtimes.runtime import RuntimeUnusable
from vae.bundle import Bundle
from vae.graphs import DECODER, ENCODER, POSTERIOR, PRIOR, SCORER, Graph
from vae.networks import VAE


class TorchRuntime:
    """The networks built from the manifest, with the weights of the checkpoint."""

    def __init__(self, bundle: Bundle, *, device: str, threads: int) -> None:
        if device == "cuda" and not torch.cuda.is_available():
            raise RuntimeUnusable("device 'cuda' was asked for, but torch sees no CUDA device")
        torch.set_num_threads(threads)
        self._device = torch.device(device)
        vae = VAE(bundle.manifest)
        try:
            vae.load_state_dict(safetensors.torch.load(bundle.files["checkpoint.safetensors"]))
        except (RuntimeError, SafetensorError) as error:
            raise RuntimeUnusable(f"the checkpoint does not fit the manifest: {error}") from None
        vae = vae.to(self._device).eval().settled()
        self._functions: dict[str, Callable[..., tuple[torch.Tensor, ...]]] = {
            ENCODER.name: vae.encode,
            DECODER.name: lambda z: (vae.decode(z),),
            SCORER.name: lambda x, z: (vae.log_px_z(x, z),),
            POSTERIOR.name: vae.posterior,
            PRIOR.name: lambda noise, temperature: (vae.prior(noise, temperature),),
        }

    def run(self, graph: Graph, inputs: tuple[Float32, ...]) -> tuple[Float32, ...]:
        with torch.inference_mode():
            # A copy, since torch warns of arrays that are views of a request's read-only body.
            tensors = [torch.tensor(array, device=self._device) for array in inputs]
            outputs = self._functions[graph.name](*tensors)
            return tuple(output.cpu().numpy() for output in outputs)
