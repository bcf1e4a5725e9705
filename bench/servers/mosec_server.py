"""mosec: a worker process for each route, dynamic batching, orjson in place of its own JSON."""

from typing import Any

import numpy as np
import orjson
from mosec import Server, Worker
from onnx_vae import MAX_BATCH, WAIT_SECONDS, OnnxVAE, images_of, split


class JsonWorker(Worker):
    def __init__(self) -> None:
        self.vae = OnnxVAE()

    def serialize(self, data: Any) -> bytes:
        return orjson.dumps(data, option=orjson.OPT_SERIALIZE_NUMPY)


class ImagesWorker(JsonWorker):
    def deserialize(self, data: bytes) -> Any:
        return np.array(orjson.loads(data)["inputs"], np.float32)


class Encode(ImagesWorker):
    def forward(self, data: list[Any]) -> list[Any]:
        sizes = [len(x) for x in data]
        mu, logvar = (split(rows, sizes) for rows in self.vae.encode(np.concatenate(data)))
        return [{"mu": m, "logvar": v} for m, v in zip(mu, logvar, strict=True)]


class Reconstruct(ImagesWorker):
    def forward(self, data: list[Any]) -> list[Any]:
        outputs = self.vae.reconstruct(np.concatenate(data))
        return [{"outputs": rows} for rows in split(outputs, [len(x) for x in data])]


class Sample(JsonWorker):
    def deserialize(self, data: bytes) -> Any:
        return orjson.loads(data)

    def forward(self, data: Any) -> Any:
        latents, outputs = self.vae.sample(**data)
        return {"outputs": outputs, "latents": latents}


class BinaryWorker(JsonWorker):
    resp_mime_type = "application/octet-stream"

    def deserialize(self, data: bytes) -> Any:
        return images_of(data)

    def serialize(self, data: Any) -> bytes:
        return data.tobytes()


class EncodeBinary(BinaryWorker):
    def forward(self, data: list[Any]) -> list[Any]:
        encoding = np.concatenate(self.vae.encode(np.concatenate(data)), axis=1)
        return split(encoding, [len(x) for x in data])


class ReconstructBinary(BinaryWorker):
    def forward(self, data: list[Any]) -> list[Any]:
        return split(self.vae.reconstruct(np.concatenate(data)), [len(x) for x in data])


if __name__ == "__main__":
    server = Server()
    batched = {
        "/encode": Encode,
        "/reconstruct": Reconstruct,
        "/encode/binary": EncodeBinary,
        "/reconstruct/binary": ReconstructBinary,
    }
    wait = round(1000 * WAIT_SECONDS)
    for route, worker in batched.items():
        server.append_worker(worker, max_batch_size=MAX_BATCH, max_wait_time=wait, route=route)
    server.append_worker(Sample, route="/sample")
    server.run()
