"""Ray Serve: a FastAPI ingress with ``@serve.batch``, one replica."""

import signal
import socket
from typing import Any

import numpy as np
import orjson
import ray
from fastapi import FastAPI, Request, Response
from onnx_vae import MAX_BATCH, WAIT_SECONDS, OnnxVAE, images_of, split
from ray import serve

routes = FastAPI()
QUIET = {"enable_access_log": False, "log_level": "WARNING"}


async def images(request: Request) -> Any:
    return np.array(orjson.loads(await request.body())["inputs"], np.float32)


def json_response(**arrays: Any) -> Response:
    body = orjson.dumps(arrays, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, media_type="application/json")


def binary_response(rows: Any) -> Response:
    return Response(rows.tobytes(), media_type="application/octet-stream")


@serve.deployment(num_replicas=1, max_ongoing_requests=512, ray_actor_options={"num_cpus": 0})
@serve.ingress(routes)
class Service:
    def __init__(self) -> None:
        self.vae = OnnxVAE()

    @serve.batch(max_batch_size=MAX_BATCH, batch_wait_timeout_s=WAIT_SECONDS)
    async def _encode(self, requests: list[Any]) -> list[Any]:
        sizes = [len(x) for x in requests]
        mu, logvar = (split(rows, sizes) for rows in self.vae.encode(np.concatenate(requests)))
        return list(zip(mu, logvar, strict=True))

    @serve.batch(max_batch_size=MAX_BATCH, batch_wait_timeout_s=WAIT_SECONDS)
    async def _reconstruct(self, requests: list[Any]) -> list[Any]:
        outputs = self.vae.reconstruct(np.concatenate(requests))
        return split(outputs, [len(x) for x in requests])

    @routes.post("/encode")
    async def encode(self, request: Request) -> Response:
        mu, logvar = await self._encode(await images(request))
        return json_response(mu=mu, logvar=logvar)

    @routes.post("/reconstruct")
    async def reconstruct(self, request: Request) -> Response:
        return json_response(outputs=await self._reconstruct(await images(request)))

    @routes.post("/sample")
    async def sample(self, request: Request) -> Response:
        latents, outputs = self.vae.sample(**orjson.loads(await request.body()))
        return json_response(outputs=outputs, latents=latents)

    @routes.post("/encode/binary")
    async def encode_binary(self, request: Request) -> Response:
        encoding = await self._encode(images_of(await request.body()))
        return binary_response(np.concatenate(encoding, axis=1))

    @routes.post("/reconstruct/binary")
    async def reconstruct_binary(self, request: Request) -> Response:
        return binary_response(await self._reconstruct(images_of(await request.body())))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    ray.init(num_cpus=1, include_dashboard=False, object_store_memory=2**28, log_to_driver=False)
    # The replica listens on a port of its own; nobody asks the proxy's.
    proxy = {"host": "127.0.0.1", "port": free_port(), "location": "HeadOnly"}
    serve.start(http_options=proxy, logging_config=QUIET)
    serve.run(Service.bind(), route_prefix="/", logging_config=QUIET)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    ray.shutdown()
