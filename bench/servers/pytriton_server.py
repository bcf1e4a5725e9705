"""pytriton: Triton with its dynamic batcher, callables in this process."""

import os
import sys
import sysconfig
from typing import Any

import numpy as np
from onnx_vae import LATENT_DIM, PIXELS, PORT, OnnxVAE
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

MAX_ROWS = 256


def load_own_libpython() -> None:
    """Start again with the directory of this interpreter's libpython in LD_LIBRARY_PATH.

    Triton's stub process loads a libpython by name and must not find another one.
    """
    directory = sysconfig.get_config_var("LIBDIR")
    if os.environ.get("LD_LIBRARY_PATH") != directory:
        environment = {**os.environ, "LD_LIBRARY_PATH": directory}
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def serve(vae: OnnxVAE) -> None:
    @batch
    def encode(inputs: Any) -> dict[str, Any]:
        mu, logvar = vae.encode(inputs)
        return {"mu": mu, "logvar": logvar}

    @batch
    def reconstruct(inputs: Any) -> dict[str, Any]:
        return {"outputs": vae.reconstruct(inputs)}

    def sample(requests: Any) -> list[dict[str, Any]]:
        replies = []
        for request in requests:
            n, seed = int(request["n"].ravel()[0]), int(request["seed"].ravel()[0])
            latents, outputs = vae.sample(n, None if seed < 0 else seed)
            replies.append({"outputs": outputs, "latents": latents})
        return replies

    def rows(name: str, width: int) -> Tensor:
        return Tensor(name=name, dtype=np.float32, shape=(width,))

    def number(name: str) -> Tensor:
        return Tensor(name=name, dtype=np.int32, shape=(1,))

    def table(name: str, width: int) -> Tensor:
        return Tensor(name=name, dtype=np.float32, shape=(-1, width))

    ports = {"http_port": PORT, "grpc_port": PORT + 1, "metrics_port": PORT + 2}
    config = TritonConfig(
        http_address="127.0.0.1", allow_metrics=False, http_thread_count=2, **ports
    )
    batcher = DynamicBatcher(max_queue_delay_microseconds=0)
    batched = ModelConfig(max_batch_size=MAX_ROWS, batcher=batcher)
    images, outputs = [rows("inputs", PIXELS)], [rows("outputs", PIXELS)]
    encoding = [rows("mu", LATENT_DIM), rows("logvar", LATENT_DIM)]
    samples = [table("outputs", PIXELS), table("latents", LATENT_DIM)]
    with Triton(config=config) as triton:
        triton.bind("encode", encode, images, encoding, config=batched)
        triton.bind("reconstruct", reconstruct, images, outputs, config=batched)
        options = [number("n"), number("seed")]
        triton.bind("sample", sample, options, samples, config=ModelConfig(batching=False))
        triton.serve()


if __name__ == "__main__":
    load_own_libpython()
    serve(OnnxVAE())
