"""BentoML: adaptive batching for JSON; binary by a Starlette application in the same process.

Its endpoints read no raw bodies, so binary requests are not batched. Replies are plain rows: mu and
logvar, or latents and outputs, side by side.
"""

from typing import Annotated

import bentoml
import numpy as np
from bentoml.validators import DType, Shape
from onnx_vae import MAX_BATCH, PIXELS, OnnxVAE, images_of
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

Images = Annotated[np.ndarray, DType("float32"), Shape((-1, PIXELS))]
vae = OnnxVAE()


async def encode_binary(request: Request) -> Response:
    encoding = np.concatenate(vae.encode(images_of(await request.body())), axis=1)
    return Response(encoding.tobytes(), media_type="application/octet-stream")


async def reconstruct_binary(request: Request) -> Response:
    outputs = vae.reconstruct(images_of(await request.body()))
    return Response(outputs.tobytes(), media_type="application/octet-stream")


binary = Starlette(
    routes=[
        Route("/encode", encode_binary, methods=["POST"]),
        Route("/reconstruct", reconstruct_binary, methods=["POST"]),
    ]
)


@bentoml.service(
    workers=1,
    threads=1,
    traffic={"timeout": 30, "max_concurrency": 1000},
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
)
@bentoml.asgi_app(binary, path="/binary")
class Service:
    @bentoml.api(batchable=True, max_batch_size=MAX_BATCH, max_latency_ms=1000)
    def encode(self, inputs: Images) -> np.ndarray:
        return np.concatenate(vae.encode(inputs), axis=1)

    # It counts rows, not requests, and refuses a request of more than this.
    @bentoml.api(batchable=True, max_batch_size=4096, max_latency_ms=5000)
    def reconstruct(self, inputs: Images) -> np.ndarray:
        return vae.reconstruct(inputs)

    @bentoml.api
    def sample(self, n: int, seed: int | None = None) -> np.ndarray:
        return np.concatenate(vae.sample(n, seed), axis=1)
