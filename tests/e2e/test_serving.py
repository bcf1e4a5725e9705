"""Trained bundles behind a real server on a real socket."""

import io
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.fakes import SLOW, write_fake_bundle
from tests.servers import Server, command, serving
from vae.bundle import open_bundle


@pytest.fixture(scope="module", params=["onnx", "torch"])
def server(request: pytest.FixtureRequest, digits_bundle: Path) -> Iterator[Server]:
    with serving(digits_bundle, "--runtime", request.param) as server:
        yield server


def post(server: Server, path: str, body: Any) -> Any:
    response = httpx.post(server.url + path, json=body)
    assert response.status_code == 200, response.text
    return response.json()


def test_the_verbs_agree_with_the_golden_outputs(server: Server, digits_bundle: Path) -> None:
    golden = open_bundle(digits_bundle).arrays("golden.npz", "x", "z", "mu", "logvar", "mean")
    encoded = post(server, "/encode", {"inputs": golden["x"].tolist()})
    np.testing.assert_allclose(encoded["mu"], golden["mu"], atol=1e-4)
    np.testing.assert_allclose(encoded["logvar"], golden["logvar"], atol=1e-4)
    decoded = post(server, "/decode", {"latents": golden["z"].tolist()})
    np.testing.assert_allclose(decoded["outputs"], golden["mean"], atol=2e-3)
    rebuilt = post(server, "/reconstruct", {"inputs": golden["x"].tolist()})
    again = post(server, "/decode", {"latents": encoded["mu"]})
    np.testing.assert_allclose(rebuilt["outputs"], again["outputs"], atol=2e-3)
    scores = post(server, "/score", {"inputs": golden["x"].tolist(), "samples": 4})
    elbo = np.array(scores["reconstruction"]) - scores["kl"]
    np.testing.assert_allclose(scores["elbo"], elbo, rtol=1e-5)
    assert all(0 < p <= 1 for p in scores["p_value"])


def test_pixels_that_depend_on_each_other_are_served(causal_bundle: Path) -> None:
    golden = open_bundle(causal_bundle).arrays("golden.npz", "x", "z", "mean")
    with serving(causal_bundle) as server:
        decoded = post(server, "/decode", {"latents": golden["z"].tolist()})
        np.testing.assert_allclose(decoded["outputs"], golden["mean"], atol=2e-3)
        drawn = post(server, "/sample", {"n": 3, "seed": 1})
        again = post(server, "/decode", {"latents": drawn["latents"]})
        np.testing.assert_allclose(drawn["outputs"], again["outputs"], atol=2e-3)
        scores = post(server, "/score", {"inputs": golden["x"].tolist()})
        assert np.isfinite(scores["elbo"]).all()


def test_samples_are_a_picture_and_a_seed_is_a_seed(server: Server) -> None:
    def sample(**query: Any) -> bytes:
        response = httpx.post(f"{server.url}/sample", params=query, headers={"accept": "image/png"})
        return response.content

    assert sample(n=16, seed=1) == sample(n=16, seed=1) != sample(n=16, seed=2)
    assert Image.open(io.BytesIO(sample(n=16, seed=1))).size == (266, 266)


def test_many_callers_at_once_get_what_each_would_get_alone(server: Server) -> None:
    random = np.random.default_rng(0)
    bodies = [
        {"inputs": random.integers(0, 17, (1 + i % 5, 64)).tolist(), "sample": True, "seed": i}
        for i in range(60)
    ]
    with httpx.Client(base_url=server.url) as client, ThreadPoolExecutor(16) as pool:
        together = list(pool.map(lambda body: client.post("/encode", json=body).json(), bodies))
        for body, result in zip(bodies, together, strict=True):
            alone = client.post("/encode", json=body).json()
            for name in ("mu", "logvar", "z"):
                np.testing.assert_allclose(alone[name], result[name], atol=1e-6)


def test_openapi_and_metrics_are_there(server: Server) -> None:
    assert "/encode" in httpx.get(f"{server.url}/openapi.json").json()["paths"]
    assert 'vae_model_info{kind="image"' in httpx.get(f"{server.url}/metrics").text


def rows_run(server: Server) -> float:
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("vae_batch_rows_sum"))


def test_a_client_that_hangs_up_in_the_queue_is_never_run(tmp_path: Path) -> None:
    write_fake_bundle(tmp_path)
    body = b'{"inputs":[[' + b",".join([b"777"] * 20) + b"]]}"
    head = b"POST /encode HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body)
    with serving(tmp_path, "--runtime", "tests.fakes:SlowRuntime", "--inline-ms", "0") as server:
        address = ("127.0.0.1", server.port)
        with socket.create_connection(address) as stays, socket.create_connection(address) as goes:
            stays.sendall(head + body)
            time.sleep(0.1)
            goes.sendall(head + body)
            time.sleep(0.1)
            goes.close()
            assert stays.recv(100).startswith(b"HTTP/1.1 200")
        time.sleep(0.8)
        assert rows_run(server) == 1


def test_sigterm_lets_a_request_finish_and_exits_with_0(tmp_path: Path) -> None:
    write_fake_bundle(tmp_path)
    with serving(tmp_path, "--runtime", "tests.fakes:SlowRuntime", "--inline-ms", "0") as server:
        answers: list[int] = []

        def ask() -> None:
            response = httpx.post(f"{server.url}/encode", json={"inputs": [[SLOW] * 20]})
            answers.append(response.status_code)

        thread = threading.Thread(target=ask)
        thread.start()
        time.sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        thread.join()
        assert answers == [200]
        assert server.process.wait(10) == 0


def test_bad_settings_and_bad_models_end_the_start(tmp_path: Path) -> None:
    bundle = write_fake_bundle(tmp_path)
    fake = ("--models", str(tmp_path), "--runtime", "tests.fakes:FakeRuntime")
    broken = ("--models", str(tmp_path), "--runtime", "tests.fakes:BrokenRuntime")
    started = [
        (2, "--port", command("--port", "many")),
        (2, "unrecognized arguments: --prot", command("--prot", "1")),
        (1, "no such directory", command("--models", str(tmp_path / "nowhere"))),
        (1, "misses the golden mean", command(*broken)),
    ]
    for status, says, process in started:
        output, _ = process.communicate(timeout=60)
        assert process.returncode == status, output
        assert says in output
        assert "Traceback" not in output
    (bundle / "golden.npz").unlink()
    process = command(*fake)
    assert "golden.npz cannot be read" in process.communicate(timeout=60)[0]
    assert process.returncode == 1
