"""The runtimes that mlserver_server.py names: one for each verb, inference in the server itself."""

from functools import cache
from typing import Any

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from onnx_vae import OnnxVAE


@cache
def vae() -> OnnxVAE:
    return OnnxVAE()


class Runtime(MLModel):
    async def load(self) -> bool:
        vae()
        return True

    def reply(self, **arrays: Any) -> InferenceResponse:
        outputs = [NumpyCodec.encode_output(name, array) for name, array in arrays.items()]
        return InferenceResponse(model_name=self.name, outputs=outputs)


class Encode(Runtime):
    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        mu, logvar = vae().encode(NumpyCodec.decode_input(payload.inputs[0]))
        return self.reply(mu=mu, logvar=logvar)


class Reconstruct(Runtime):
    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        return self.reply(outputs=vae().reconstruct(NumpyCodec.decode_input(payload.inputs[0])))


class Sample(Runtime):
    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        tensors = {tensor.name: NumpyCodec.decode_input(tensor) for tensor in payload.inputs}
        n, seed = (int(np.ravel(tensors[name])[0]) for name in ("n", "seed"))
        latents, outputs = vae().sample(n, None if seed < 0 else seed)
        return self.reply(outputs=outputs, latents=latents)
