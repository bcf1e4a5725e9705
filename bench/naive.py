"""What most people write: FastAPI, pydantic lists, one ``session.run`` a request.

``python -m bench.naive --port PORT --bundle BUNDLE [--tuned]``

As tutorials have it a reply is a dict of lists. Tuned, a reply has a pydantic model, too, and with
that goes to JSON without a detour by FastAPI's encoder, many times as fast.
"""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

from bench.plain import add_options, serve
from vae.onnxruntime_no_telemetry import onnxruntime


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


Lists = Mapping[str, object]
Answer = Callable[[type[BaseModel], Lists], Any]


def as_dict(reply: type[BaseModel], lists: Lists) -> Any:  # noqa: ARG001 (the seam of both)
    """The lists themselves."""
    return lists


def as_model(reply: type[BaseModel], lists: Lists) -> Any:
    """The lists in their model."""
    return reply(**lists)


def create_app(bundle: Path, *, tuned: bool) -> FastAPI:
    """The three verbs that are measured."""
    app = FastAPI()
    answer: Answer = as_model if tuned else as_dict
    options = onnxruntime.SessionOptions()
    # By default onnxruntime starts a thread for every core and binds it there, taskset or not.
    options.intra_op_num_threads = 1
    encoder = onnxruntime.InferenceSession(bundle / "encoder.onnx", options)
    decoder = onnxruntime.InferenceSession(bundle / "decoder.onnx", options)
    latent_dim = decoder.get_inputs()[0].shape[1]

    @app.post("/encode", response_model=Posterior if tuned else None)
    async def encode(images: Images) -> Any:
        x = np.array(images.inputs, dtype=np.float32).reshape(-1, 28, 28)
        mu, logvar = encoder.run(None, {"x": x})
        return answer(Posterior, {"mu": mu.tolist(), "logvar": logvar.tolist()})

    @app.post("/reconstruct", response_model=Outputs if tuned else None)
    async def reconstruct(images: Images) -> Any:
        x = np.array(images.inputs, dtype=np.float32).reshape(-1, 28, 28)
        mu, _ = encoder.run(None, {"x": x})
        (mean,) = decoder.run(None, {"z": mu})
        return answer(Outputs, {"outputs": mean.tolist()})

    @app.post("/sample", response_model=Samples if tuned else None)
    async def sample(draw: Draw) -> Any:
        noise = np.random.default_rng(draw.seed).standard_normal((draw.n, latent_dim))
        z = noise.astype(np.float32)
        (mean,) = decoder.run(None, {"z": z})
        return answer(Samples, {"outputs": mean.tolist(), "latents": z.tolist()})

    return app


def main() -> None:
    """Serve until a signal comes."""
    parser = argparse.ArgumentParser()
    add_options(parser)
    parser.add_argument("--bundle", type=Path, required=True)
    given = parser.parse_args()
    serve(create_app(given.bundle, tuned=given.tuned), given.port, tuned=given.tuned)


if __name__ == "__main__":
    main()
