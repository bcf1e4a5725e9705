"""A real cluster of two nodes on this machine."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy" / "ray"
STORE = 80 << 20
"""Bytes of a node's object store: about the minimum of Ray, and less than the data set."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head node and a second node with two CPUs each, whose processes can import deploy/ray."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [str(DEPLOY), str(DEPLOY.parents[1]), os.environ.get("PYTHONPATH", "")]
    )
    sys.path.insert(0, str(DEPLOY))
    import ray
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 2, "object_store_memory": STORE, "include_dashboard": False}
    running = Cluster(initialize_head=True, head_node_args=node)
    running.second = running.add_node(num_cpus=2, object_store_memory=STORE)
    ray.init(address=running.address, log_to_driver=False)
    yield running
    ray.shutdown()
    running.shutdown()
    sys.path.remove(str(DEPLOY))
