"""Compares the replies of a server with bare onnxruntime on the same inputs."""

import http.client
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from typing import Final, NamedTuple

import numpy as np

from bench.errors import BenchError
from bench.formats import Headers, Message, image_body, read_reply, sample_body
from bench.models import LATENT_DIM, Array, Reference, images
from bench.rows import Operation
from bench.workloads import Workload

RELATIVE: Final = 1e-3
ABSOLUTE: Final = 1e-4
"""The tolerances: a reply in JSON may be rounded to some six digits."""

TIMEOUT_SECONDS: Final = 60
THREADS: Final = 32


class Answer(NamedTuple):
    """A reply that was found right, and the length of its body in bytes."""

    arrays: dict[str, Array]
    size: int

    def equals(self, other: "Answer") -> bool:
        """Whether all arrays are equal; the bytes may differ in a request id."""
        return all(np.array_equal(self.arrays[name], other.arrays[name]) for name in self.arrays)


class Question(NamedTuple):
    """A request, and the images or the seed that it was made of."""

    body: bytes
    headers: Headers
    x: Array | None


def post(port: int, path: str, body: bytes, headers: Headers) -> tuple[int, Message]:
    """Status and reply of one request. Raises OSError if nobody listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("POST", path, body, dict(headers))
        reply = connection.getresponse()
        found = {name.lower(): value for name, value in reply.getheaders()}
        return reply.status, (reply.read(), found)
    except http.client.HTTPException as error:
        raise OSError(f"no HTTP reply: {error!r}") from error
    finally:
        connection.close()


def question(workload: Workload, operation: Operation, seed: int) -> Question:
    """A request of the workload: images of this seed, or a sample with it."""
    if workload.verb == "sample":
        return Question(*sample_body(operation.body, workload.rows, seed), None)
    x = images(workload.rows, seed)
    return Question(*image_body(operation.body, x), x)


def check(port: int, workload: Workload, operation: Operation, reference: Reference) -> int:
    """Check distinct requests one by one, then as many at once as the workload has connections.

    Returns the length of a reply's body. Raises BenchError if a reply is not right.
    """
    asked = [question(workload, operation, seed) for seed in range(8 if workload.rows == 1 else 3)]
    ask = _Asker(port, workload, operation, reference)
    answers = [ask(each) for each in asked]
    if any(one.equals(other) for one, other in combinations(answers, 2)):
        raise BenchError("different requests have equal replies")
    threads = min(workload.connections, THREADS)
    with ThreadPoolExecutor(threads) as pool:
        for index, answer in enumerate(pool.map(ask, asked * threads)):
            if workload.verb == "sample" and not answer.equals(answers[index % len(asked)]):
                raise BenchError("equal seeds have different replies")
    return answers[0].size


class _Asker:
    def __init__(
        self, port: int, workload: Workload, operation: Operation, reference: Reference
    ) -> None:
        self._port = port
        self._workload = workload
        self._operation = operation
        self._reference = reference

    def __call__(self, asked: Question) -> Answer:
        """Send the request. Raises BenchError unless the reply is right."""
        status, reply = post(self._port, self._operation.path, asked.body, asked.headers)
        if status != 200:
            raise BenchError(f"status {status}: {reply[0][:300]!r}")
        try:
            found = read_reply(self._operation.reply, self._workload.verb, reply)
        except (ValueError, KeyError, TypeError) as error:
            raise BenchError(f"unreadable reply ({error!r}): {reply[0][:300]!r}") from error
        self._require_right(found, asked)
        return Answer(found, len(reply[0]))

    def _require_right(self, found: dict[str, Array], asked: Question) -> None:
        x = asked.x
        if x is None:
            x = found["latents"]
            _require_noise(x, (self._workload.rows, LATENT_DIM))
        for name, expected in self._reference.expect(self._workload.verb, x).items():
            _require_close(name, found[name], expected)


def _require_noise(z: Array, shape: Sequence[int]) -> None:
    if z.shape != tuple(shape) or not 0.8 < z.std() < 1.2:
        raise BenchError(f"latents {z.shape} are not {tuple(shape)} draws from N(0, I)")


def _require_close(name: str, found: Array, expected: Array) -> None:
    if found.shape != expected.shape:
        raise BenchError(f"{name} has shape {found.shape}, expected {expected.shape}")
    if not np.allclose(found, expected, rtol=RELATIVE, atol=ABSOLUTE):
        raise BenchError(f"{name} is off by up to {np.abs(found - expected).max():.3g}")
