"""The application on two nodes: correct answers, also after a replica and a node die."""

import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import yaml

from tests.ray.conftest import DEPLOY
from vae.bundle import open_bundle

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore")]

TIMEOUT_SECONDS = 180.0


@pytest.fixture(scope="module")
def url(cluster: Any, digits_bundle: Path) -> Iterator[str]:
    """Two replicas with one CPU each, behind the proxy of the head node."""
    from ray import serve
    from serving import ServeOptions, application

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": port})
    models = digits_bundle.parents[1]
    options = ServeOptions(models=models, cpus=1, min_replicas=2, max_replicas=2)
    serve.run(application(options))
    yield f"http://127.0.0.1:{port}"
    serve.shutdown()


def replicas() -> dict[str, str]:
    """The node ID of each living replica, by the name of the replica."""
    from ray._private.state import actors  # the public list needs the dashboard

    living = [actor for actor in actors().values() if actor["State"] == "ALIVE"]
    return {
        actor["Name"]: actor["Address"]["NodeID"]
        for actor in living
        if "ServeReplica" in actor["ActorClassName"]
    }


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)


def ask(url: str, seconds: float) -> Counter[int]:
    """Send requests in sequence for ``seconds`` and count the statuses; 0: a broken connection."""
    found: Counter[int] = Counter()
    end = time.monotonic() + seconds
    with httpx.Client(timeout=30) as client:
        while time.monotonic() < end:
            try:
                found[client.post(f"{url}/sample", json={"n": 2, "seed": 1}).status_code] += 1
            except httpx.TransportError:
                found[0] += 1
    return found


def test_the_answers_are_those_of_the_bundle(url: str, digits_bundle: Path) -> None:
    golden = open_bundle(digits_bundle).arrays("golden.npz", "x", "mu")
    reply = httpx.post(f"{url}/encode", json={"inputs": golden["x"].tolist()}, timeout=30)
    assert reply.status_code == 200
    assert np.allclose(reply.json()["mu"], golden["mu"], atol=1e-4)
    assert httpx.get(f"{url}/health/ready").status_code == 200
    refused = httpx.post(f"{url}/encode", json={"inputs": [[1, 2]]})
    assert refused.status_code == 422
    assert refused.headers["content-type"] == "application/problem+json"


def test_a_node_that_is_removed_takes_only_its_replicas(url: str, cluster: Any) -> None:
    wait_until(lambda: len(set(replicas().values())) == 2)
    cluster.remove_node(cluster.second, allow_graceful=False)
    found = ask(url, seconds=5)
    print("after a removed node:", dict(found))
    assert found[200] > 20
    assert found.total() - found[200] <= 3
    head = cluster.head_node.node_id
    wait_until(lambda: list(replicas().values()) == [head, head])
    assert set(ask(url, seconds=2)) == {200}


def test_a_replica_that_is_killed_is_replaced_and_the_other_answers(url: str) -> None:
    import ray

    wait_until(lambda: len(replicas()) == 2)
    victim = next(iter(replicas()))
    ray.kill(ray.get_actor(victim, namespace="serve"))
    found = ask(url, seconds=5)
    print("after a killed replica:", dict(found))
    assert found[200] > 20
    assert found.total() - found[200] <= 3
    wait_until(lambda: len(replicas()) == 2 and victim not in replicas())


def test_the_config_file_is_one_that_serve_takes(cluster: Any) -> None:
    import serving
    from ray.serve.schema import ServeDeploySchema

    content = yaml.safe_load((DEPLOY / "serve.yaml").read_text())
    (application,) = ServeDeploySchema.model_validate(content).applications
    assert application.import_path == "serving:application"
    assert serving.ServeOptions.model_validate(application.args).max_replicas == 16
    with pytest.raises(ValueError, match="min_replicas is 3, more than max_replicas, 2"):
        serving.ServeOptions(models=DEPLOY, min_replicas=3, max_replicas=2)
