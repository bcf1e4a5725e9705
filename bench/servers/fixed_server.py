"""An ASGI application that reads each body and answers a fixed reply of the right size."""

from typing import Any

import numpy as np
import orjson
from onnx_vae import OnnxVAE


def _replies() -> dict[str, tuple[bytes, bytes]]:
    """Content type and body by path; images of each workload's size."""
    vae, random = OnnxVAE(), np.random.default_rng(0)
    one, some, many = (random.random((n, 784), dtype=np.float32) for n in (1, 64, 256))
    mu, logvar = vae.encode(one)
    latents, outputs = vae.sample(64)
    return {
        "/encode": _json(mu=mu, logvar=logvar),
        "/reconstruct": _json(outputs=vae.reconstruct(some)),
        "/sample": _json(outputs=outputs, latents=latents),
        "/encode/binary": _binary(np.concatenate((mu, logvar), axis=1)),
        "/reconstruct/binary": _binary(vae.reconstruct(many)),
    }


def _json(**arrays: Any) -> tuple[bytes, bytes]:
    return b"application/json", orjson.dumps(arrays, option=orjson.OPT_SERIALIZE_NUMPY)


def _binary(rows: Any) -> tuple[bytes, bytes]:
    return b"application/octet-stream", rows.tobytes()


REPLIES = _replies()


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Read the body, send the reply of the path."""
    if scope["type"] != "http":
        raise NotImplementedError  # uvicorn then goes on without the lifespan protocol
    while (await receive()).get("more_body"):
        pass
    media_type, body = REPLIES[scope["path"]]
    headers = [(b"content-type", media_type), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
