"""FastAPI as tutorials show it: pydantic lists and one ``session.run`` a request.

The binary routes use ``request.body()`` and ``numpy.frombuffer``.
"""

import numpy as np
from fastapi import FastAPI, Request, Response
from onnx_vae import OnnxVAE, images_of
from pydantic import BaseModel

Rows = list[list[float]]

app = FastAPI()
vae = OnnxVAE()


class Images(BaseModel):
    inputs: Rows


class SampleOptions(BaseModel):
    n: int = 1
    seed: int | None = None


class Encoding(BaseModel):
    mu: Rows
    logvar: Rows


class Outputs(BaseModel):
    outputs: Rows


class Samples(BaseModel):
    outputs: Rows
    latents: Rows


@app.post("/encode")
def encode(images: Images) -> Encoding:
    mu, logvar = vae.encode(np.array(images.inputs, np.float32))
    return Encoding(mu=mu.tolist(), logvar=logvar.tolist())


@app.post("/reconstruct")
def reconstruct(images: Images) -> Outputs:
    return Outputs(outputs=vae.reconstruct(np.array(images.inputs, np.float32)).tolist())


@app.post("/sample")
def sample(options: SampleOptions) -> Samples:
    latents, outputs = vae.sample(options.n, options.seed)
    return Samples(outputs=outputs.tolist(), latents=latents.tolist())


@app.post("/encode/binary")
async def encode_binary(request: Request) -> Response:
    encoding = np.concatenate(vae.encode(images_of(await request.body())), axis=1)
    return Response(encoding.tobytes(), media_type="application/octet-stream")


@app.post("/reconstruct/binary")
async def reconstruct_binary(request: Request) -> Response:
    outputs = vae.reconstruct(images_of(await request.body()))
    return Response(outputs.tobytes(), media_type="application/octet-stream")
