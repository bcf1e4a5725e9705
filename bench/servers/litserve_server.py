"""LitServe: a LitAPI with batching for the operation that OPERATION names, replies by orjson.

FastAPI parses JSON bodies in any case.
"""

import os
from typing import Annotated, Any

import litserve
import numpy as np
import orjson
from fastapi import Body, Response
from onnx_vae import MAX_BATCH, PORT, WAIT_SECONDS, OnnxVAE, images_of, split

Octets = Annotated[bytes, Body(media_type="application/octet-stream")]


class JsonAPI(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.vae = OnnxVAE()

    # Without an annotation FastAPI passes the whole request.
    def decode_request(self, request):
        return np.array(request["inputs"], np.float32)

    def batch(self, inputs: list[Any]) -> Any:
        return np.concatenate(inputs), [len(x) for x in inputs]

    def unbatch(self, output: list[Any]) -> list[Any]:
        return output

    def encode_response(self, output: Any) -> Response:
        body = orjson.dumps(output, option=orjson.OPT_SERIALIZE_NUMPY)
        return Response(body, media_type="application/json")


class Encode(JsonAPI):
    def predict(self, batch: Any) -> list[Any]:
        x, sizes = batch
        mu, logvar = (split(rows, sizes) for rows in self.vae.encode(x))
        return [{"mu": m, "logvar": v} for m, v in zip(mu, logvar, strict=True)]


class Reconstruct(JsonAPI):
    def predict(self, batch: Any) -> list[Any]:
        x, sizes = batch
        return [{"outputs": rows} for rows in split(self.vae.reconstruct(x), sizes)]


class Sample(JsonAPI):
    def decode_request(self, request):
        return request

    def predict(self, request: Any) -> Any:
        latents, outputs = self.vae.sample(**request)
        return {"outputs": outputs, "latents": latents}


class BinaryAPI(JsonAPI):
    def decode_request(self, request: Octets) -> Any:
        return images_of(request)

    def encode_response(self, output: Any) -> Response:
        return Response(output.tobytes(), media_type="application/octet-stream")


class EncodeBinary(BinaryAPI):
    def predict(self, batch: Any) -> list[Any]:
        x, sizes = batch
        return split(np.concatenate(self.vae.encode(x), axis=1), sizes)


class ReconstructBinary(BinaryAPI):
    def predict(self, batch: Any) -> list[Any]:
        x, sizes = batch
        return split(self.vae.reconstruct(x), sizes)


if __name__ == "__main__":
    batching = {"max_batch_size": MAX_BATCH, "batch_timeout": WAIT_SECONDS}
    api, path, options = {
        "encode_json": (Encode, "/encode", batching),
        "reconstruct_json": (Reconstruct, "/reconstruct", batching),
        "sample_json": (Sample, "/sample", {}),
        "encode_binary": (EncodeBinary, "/encode/binary", batching),
        "reconstruct_binary": (ReconstructBinary, "/reconstruct/binary", batching),
    }[os.environ["OPERATION"]]
    server = litserve.LitServer(
        api(api_path=path, **options), accelerator="cpu", workers_per_device=1, fast_queue=True
    )
    server.run(
        port=PORT,
        host="127.0.0.1",
        num_api_servers=1,
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )
