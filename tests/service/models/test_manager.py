"""A manager over a real directory and this process: what is served follows the disk."""

import asyncio
import shutil
import weakref
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.errors import BundleRefused, UnknownModel
from service.models.options import PosteriorOptions
from service.models.store import ModelVersion
from tests.fakes import BrokenRuntime, FakeRuntime, fake_manager, write_fake_bundle
from vae.bundle import BundleError

ROWS = np.ones((2, 4, 5), np.float32)


class Kept:
    """A directory of models that a process serves."""

    def __init__(self, models: Path, **overrides: Any) -> None:
        self.models = models
        self.manager, self.home, self.metrics = fake_manager(
            models, **{"watch_seconds": 0, **overrides}
        )
        self.home.move_in(self.manager.first_bundles())

    async def look(self) -> list[str]:
        """What is served once the manager has looked at the disk."""
        await self.manager.look(at_once=True)
        return self.served()

    def served(self) -> list[str]:
        return sorted(model.label for model in self.home.models)

    def states(self) -> dict[str, tuple[str, str | None]]:
        return {f"{e.name}/{e.version}": (e.state, e.reason) for e in self.home.models.entries}

    def metric(self, line: str) -> str:
        lines = self.metrics.render().decode().splitlines()
        (found,) = [each for each in lines if each.startswith(line)]
        return found.split()[-1]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    write_fake_bundle(tmp_path / "models", "a")
    return tmp_path / "models"


def run(body: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(body(), 20))  # type: ignore[arg-type]


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 (of things that set no event)
        await asyncio.sleep(0.01)


def damage(bundle: Path) -> None:
    golden = bundle / "golden.npz"
    golden.write_bytes(golden.read_bytes()[:-1])


def test_what_comes_is_served_and_what_goes_is_not(models: Path) -> None:
    async def body() -> None:
        kept = Kept(models)
        write_fake_bundle(models, "a")
        write_fake_bundle(models, "b")
        assert await kept.look() == ["a/1", "a/2", "b/1"]
        shutil.rmtree(models / "a" / "1")
        shutil.rmtree(models / "b")
        assert await kept.look() == ["a/2"]
        assert kept.states() == {"a/2": ("serving", None)}
        assert kept.metric('vae_model_load_total{result="loaded"}') == "3.0"
        b = 'vae_model_info{kind="image",latent_dim="3",likelihood="bernoulli",model="b"'
        assert kept.metric(b) == "0.0"
        assert kept.home.models.default == "a"

    run(body)


def test_a_watched_directory_needs_no_bell(models: Path) -> None:
    async def body() -> None:
        kept = Kept(models, watch_seconds=0.02)
        watching = asyncio.create_task(kept.manager.watch())
        write_fake_bundle(models, "a")
        await until(lambda: kept.served() == ["a/1", "a/2"])
        watching.cancel()

    run(body)


def test_a_bad_bundle_is_refused_by_name_and_tried_again_when_it_changes(models: Path) -> None:
    async def body() -> None:
        kept = Kept(models, version_policy="latest")
        second = write_fake_bundle(models, "a")
        good = (second / "golden.npz").read_bytes()
        damage(second)
        assert await kept.look() == ["a/1"]
        state, reason = kept.states()["a/2"]
        assert state == "refused"
        assert reason
        assert reason.startswith("golden.npz is damaged")
        assert str(models) not in reason
        assert await kept.look() == ["a/1"]
        assert kept.metric('vae_model_load_total{result="refused"}') == "1.0"
        (second / "golden.npz").write_bytes(good)
        assert await kept.look() == ["a/2"]
        assert kept.states()["a/1"] == ("unloaded", None)

    run(body)


def test_a_runtime_that_misses_the_golden_outputs_is_a_reason(models: Path) -> None:
    async def body() -> None:
        kept = Kept(models)
        kept.home._engine_class = BrokenRuntime
        write_fake_bundle(models, "a")
        assert await kept.look() == ["a/1"]
        assert "decoder misses the golden mean" in str(kept.states()["a/2"])

    run(body)


def test_an_engine_that_breaks_is_a_reason_without_its_secrets(models: Path) -> None:
    class Breaks(FakeRuntime):
        def __init__(self, *args: Any, **options: Any) -> None:
            raise MemoryError("0xdeadbeef")

    async def body() -> None:
        kept = Kept(models)
        kept.home._engine_class = Breaks
        write_fake_bundle(models, "a")
        assert await kept.look() == ["a/1"]
        assert kept.states()["a/2"] == ("refused", "it cannot be loaded: MemoryError")

    run(body)


def test_files_that_change_under_a_served_version_are_swapped_in_or_refused(models: Path) -> None:
    async def body() -> None:
        kept = Kept(models)
        first = kept.home.models.get("a")
        damage(models / "a" / "1")
        assert await kept.look() == ["a/1"]
        assert kept.home.models.get("a") is first
        assert "golden.npz is damaged" in str(kept.states()["a/1"])
        shutil.rmtree(models / "a" / "1")
        write_fake_bundle(models, "a")
        assert await kept.look() == ["a/1"]
        assert kept.home.models.get("a") is not first
        assert kept.states() == {"a/1": ("serving", None)}
        loads = kept.metric('vae_model_load_total{result="loaded"}')
        (models / "a" / "1" / "golden.npz").touch()
        assert await kept.look() == ["a/1"]
        assert kept.metric('vae_model_load_total{result="loaded"}') == loads

    run(body)


def test_a_request_ends_on_the_model_it_began_on_and_then_that_is_gone(models: Path) -> None:
    async def body() -> None:
        kept = Kept(models, version_policy="latest")
        model = kept.home.models.get()
        runtime = model._batchers["encoder"]._run.args[0]  # type: ignore[attr-defined]
        runtime.gate.clear()
        asking = asyncio.create_task(model.reconstruct(ROWS, PosteriorOptions()))
        write_fake_bundle(models, "a")
        assert await kept.look() == ["a/2"]
        gone = weakref.ref(model)
        del model
        assert gone()
        runtime.gate.set()
        del runtime
        assert (await asking)["outputs"].shape == (2, 4, 5)
        del asking
        await until(lambda: gone() is None)

    run(body)


def test_the_last_directory_and_the_root_may_go(models: Path) -> None:
    async def body() -> None:
        kept = Kept(models)
        shutil.rmtree(models / "a")
        assert await kept.look() == ["a/1"]
        shutil.rmtree(models)
        with pytest.raises(BundleError, match="no such directory"):
            await kept.look()
        assert kept.served() == ["a/1"]

    run(body)


def test_load_and_unload_say_what_they_could_not(models: Path) -> None:
    async def body() -> None:
        kept = Kept(models, version_policy="latest")
        write_fake_bundle(models, "a")
        damage(write_fake_bundle(models, "a"))
        await kept.manager.load(ModelVersion("a", 1))
        assert kept.served() == ["a/1", "a/2"]
        with pytest.raises(BundleRefused, match=r"golden\.npz is damaged"):
            await kept.manager.load(ModelVersion("a", 3))
        for do in (kept.manager.load, kept.manager.unload):
            with pytest.raises(UnknownModel) as unknown:
                await do(ModelVersion("a", 4))
            assert unknown.value.given == "a/4"
        await kept.manager.unload(ModelVersion("a", 2))
        await kept.manager.unload(ModelVersion("a", 1))
        assert kept.served() == []
        shutil.rmtree(models)
        with pytest.raises(BundleRefused, match="no such directory"):
            await kept.manager.load(ModelVersion("a", 1))

    run(body)


def test_a_caller_who_goes_away_leaves_no_load_half_done(models: Path) -> None:
    async def body() -> None:
        kept = Kept(models, version_policy="a/1")
        write_fake_bundle(models, "a")
        loading = asyncio.create_task(kept.manager.load(ModelVersion("a", 2)))
        await asyncio.sleep(0)
        loading.cancel()
        await until(lambda: kept.served() == ["a/1", "a/2"])

    run(body)


def test_a_list_must_be_there_at_the_start(models: Path) -> None:
    with pytest.raises(BundleError, match="there is no a/2, b/1 in it"):
        Kept(models, version_policy="a/1,b/1,a/2")
    assert Kept(models, version_policy="a/1").served() == ["a/1"]
