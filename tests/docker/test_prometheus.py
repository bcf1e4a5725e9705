"""A real Prometheus scrapes a real service: every question of the dashboard has an answer."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import yaml

from tests.docker.engine import wait_until
from tests.fakes import write_fake_bundle
from tests.servers import ROOT, Server, free_port, serving

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs prometheus"),
]
DASHBOARD = json.loads((ROOT / "deploy/grafana/dashboards/vae.json").read_text())
QUERIES = {
    f"{panel['title']}: {target['expr']}": target["expr"]
    for panel in DASHBOARD["panels"]
    for target in panel["targets"]
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two workers of a fake model."""
    models = tmp_path_factory.mktemp("models")
    write_fake_bundle(models)
    with serving(models, "--runtime", "tests.fakes:FakeRuntime", "--workers", "2") as server:
        yield server


@pytest.fixture(scope="module")
def prometheus(service: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Prometheus with our configuration, but of this one service and faster."""
    folder = tmp_path_factory.mktemp("prometheus")
    config: dict[str, Any] = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    config["global"]["scrape_interval"] = "1s"
    (job,) = config["scrape_configs"]
    del job["dns_sd_configs"]
    job["static_configs"] = [{"targets": [f"127.0.0.1:{service.port}"]}]
    shutil.copy(ROOT / "deploy/prometheus/rules.yml", folder)
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    process = subprocess.Popen(
        [
            *("prometheus", f"--config.file={folder}/prometheus.yml"),
            *(f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: bool(ask(url, "up == 1")), 30, "a first scrape")
        for _ in range(4):
            load(service)
            seen = ask(url, "count_over_time(up[1m])")[0]["value"][1]
            wait_until(
                lambda seen=seen: ask(url, "count_over_time(up[1m])")[0]["value"][1] != seen,
                10,
                "another scrape",
            )
        yield url
    finally:
        process.kill()
        process.wait()


def load(service: Server) -> None:
    """Requests of every verb, and some that are refused."""
    for _ in range(10):
        assert httpx.post(f"{service.url}/encode", json={"inputs": [[1] * 20]}).status_code == 200
        assert httpx.post(f"{service.url}/score", json={"inputs": [[1] * 20]}).status_code == 200
        assert httpx.post(f"{service.url}/sample?n=3").status_code == 200
        assert httpx.post(f"{service.url}/encode", json={"inputs": []}).status_code == 422


def ask(prometheus: str, query: str) -> list[dict[str, Any]]:
    """The result of a query now; empty while Prometheus starts."""
    try:
        reply = httpx.get(f"{prometheus}/api/v1/query", params={"query": query})
    except httpx.TransportError:
        return []
    body = reply.json()
    assert body["status"] == "success", body
    found: list[dict[str, Any]] = body["data"]["result"]
    return found


@pytest.mark.parametrize("name", QUERIES)
def test_every_panel_shows_something(prometheus: str, name: str) -> None:
    query = QUERIES[name].replace("$__rate_interval", "20s")
    result = ask(prometheus, query)
    assert result
    assert all(series["value"][1] != "NaN" for series in result)


def test_the_rules_are_loaded_and_none_is_in_trouble(prometheus: str) -> None:
    groups = httpx.get(f"{prometheus}/api/v1/rules").json()["data"]["groups"]
    (rules,) = (group["rules"] for group in groups)
    written = yaml.safe_load((ROOT / "deploy/prometheus/rules.yml").read_text())
    assert len(rules) == len(written["groups"][0]["rules"])
    assert [rule["name"] for rule in rules if rule["health"] == "err"] == []


def test_what_is_counted_arrives(prometheus: str) -> None:
    (found,) = ask(prometheus, 'sum(vae_requests_total{op="sample",code="200"})')
    assert float(found["value"][1]) >= 30
    (up,) = ask(prometheus, 'up{job="vae"}')
    assert up["value"][1] == "1"


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool")
def test_promtool_finds_the_metrics_in_order(service: Server) -> None:
    load(service)
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=httpx.get(f"{service.url}/metrics").text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, re.sub(r"\s", "", done.stdout + done.stderr)) == (0, "")
