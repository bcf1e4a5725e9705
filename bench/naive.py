"""What most people write: FastAPI, pydantic lists, one ``session.run`` a request.

``python -m bench.naive --port PORT --bundle BUNDLE``
"""

import argparse
from pathlib import Path

import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from vae.engine import onnxruntime


class Images(BaseModel):
    inputs: list[list[float]]


class Draw(BaseModel):
    n: int = 1
    seed: int | None = None


class Posterior(BaseModel):
    mu: list[list[float]]
    logvar: list[list[float]]


class Outputs(BaseModel):
    outputs: list[list[list[float]]]


class Samples(Outputs):
    latents: list[list[float]]


def create_app(bundle: Path) -> FastAPI:
    """The three verbs that are measured."""
    app = FastAPI()
    options = onnxruntime.SessionOptions()
    # By default onnxruntime starts a thread for every core and binds it there, taskset or not.
    options.intra_op_num_threads = 1
    encoder = onnxruntime.InferenceSession(bundle / "encoder.onnx", options)
    decoder = onnxruntime.InferenceSession(bundle / "decoder.onnx", options)
    latent_dim = decoder.get_inputs()[0].shape[1]

    @app.post("/encode")
    async def encode(images: Images) -> Posterior:
        x = np.array(images.inputs, dtype=np.float32).reshape(-1, 28, 28)
        mu, logvar = encoder.run(None, {"x": x})
        return Posterior(mu=mu.tolist(), logvar=logvar.tolist())

    @app.post("/reconstruct")
    async def reconstruct(images: Images) -> Outputs:
        x = np.array(images.inputs, dtype=np.float32).reshape(-1, 28, 28)
        mu, _ = encoder.run(None, {"x": x})
        (mean,) = decoder.run(None, {"z": mu})
        return Outputs(outputs=mean.tolist())

    @app.post("/sample")
    async def sample(draw: Draw) -> Samples:
        noise = np.random.default_rng(draw.seed).standard_normal((draw.n, latent_dim))
        z = noise.astype(np.float32)
        (mean,) = decoder.run(None, {"z": z})
        return Samples(outputs=mean.tolist(), latents=z.tolist())

    return app


def main() -> None:
    """Serve until a signal comes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--bundle", type=Path, required=True)
    given = parser.parse_args()
    uvicorn.run(
        create_app(given.bundle),
        port=given.port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
