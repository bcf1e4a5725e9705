"""docker compose, from a machine that has nothing to three replicas of which one is killed."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.docker.engine import answers, docker, health, inspect, wait_until

pytestmark = pytest.mark.docker


class Project:
    """A compose project of its own, on any free ports."""

    def __call__(self, *arguments: str) -> str:
        # Docker finds a free port for every replica where none is named.
        return docker("compose", "--project-name", "vae-test", *arguments, VAE_PORTS="127.0.0.1:")

    def up(self, replicas: int = 1) -> None:
        self("up", "--detach", "--build", "--wait", "--scale", f"service={replicas}")

    def containers(self) -> list[str]:
        return self("ps", "--all", "--quiet", "service").split()

    def urls(self) -> list[str]:
        return [f"http://{docker('port', name, '8000')}" for name in self.containers()]

    def created(self) -> str:
        """When the model that is served was trained."""
        found: str = httpx.get(f"{self.urls()[0]}/models/digits").json()["created"]
        return found


@pytest.fixture(scope="module")
def project() -> Iterator[Project]:
    project = Project()
    project("down", "--volumes", "--timeout", "1")
    try:
        yield project
    finally:
        project("down", "--volumes", "--timeout", "1")


def test_up_trains_and_serves_and_another_serves_at_once(project: Project) -> None:
    project.up()
    assert answers(project.urls()[0])
    trained = project.created()
    project("down")
    project.up()
    assert answers(project.urls()[0])
    assert project.created() == trained
    assert "epoch" not in project("logs", "trainer")


def test_two_of_three_replicas_do_not_notice_that_the_third_is_killed(project: Project) -> None:
    project.up(replicas=3)
    victim, *others = project.containers()
    urls = [f"http://{docker('port', name, '8000')}" for name in others]
    with ThreadPoolExecutor(4) as pool:
        first = [pool.submit(answers, url) for url in urls * 25]
        os.kill(inspect(victim)["State"]["Pid"], signal.SIGKILL)  # Docker takes it for a crash
        then = [pool.submit(answers, url) for url in urls * 25]
        assert all(future.result() for future in first + then)
    wait_until(
        lambda: inspect(victim)["RestartCount"] == 1 and health(victim) == "healthy",
        60,
        "the killed replica is back",
    )


def test_stopping_is_a_clean_end_for_all(project: Project) -> None:
    project.up(replicas=2)
    project("stop")
    assert [inspect(name)["State"]["ExitCode"] for name in project.containers()] == [0, 0]
