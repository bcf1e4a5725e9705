"""A manager over a real directory and this process: what is served follows the disk."""

import asyncio
import os
import shutil
import threading
import weakref
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.errors import BundleRefused, UnknownModel
from service.models.options import PosteriorOptions
from service.models.store import BundleStore, ModelVersion, Scan
from tests.fakes import (
    BrokenRuntime,
    FakeRuntime,
    StuckRuntime,
    fake_manager,
    load_initial,
    write_fake_bundle,
)
from vae.bundle import Bundle, BundleError

ROWS = np.ones((2, 4, 5), np.float32)


class Served:
    """A directory of models that a process serves."""

    def __init__(self, models: Path, **overrides: Any) -> None:
        self.models = models
        self.manager, self.loader, self.metrics = fake_manager(
            models, **{"watch_seconds": 0, **overrides}
        )
        load_initial(self.manager, self.loader, overrides.get("default_model"))

    async def rescan(self) -> list[str]:
        """What is served once the manager has looked at the disk."""
        await self.manager.rescan(at_once=True)
        return self.served()

    def served(self) -> list[str]:
        return sorted(model.label for model in self.loader.models)

    def states(self) -> dict[str, tuple[str, str | None]]:
        return {f"{e.name}/{e.version}": (e.state, e.reason) for e in self.loader.models.statuses}

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
        server = Served(models)
        write_fake_bundle(models, "a")
        write_fake_bundle(models, "b")
        assert await server.rescan() == ["a/1", "a/2", "b/1"]
        shutil.rmtree(models / "a" / "1")
        shutil.rmtree(models / "b")
        assert await server.rescan() == ["a/2"]
        assert server.states() == {"a/2": ("serving", None)}
        assert server.metric('vae_model_load_total{result="loaded"}') == "3.0"
        b = 'vae_model_info{kind="image",latent_dim="3",likelihood="bernoulli",model="b"'
        assert server.metric(b) == "0.0"
        assert server.loader.models.default == "a"

    run(body)


def test_a_watched_directory_needs_no_bell(models: Path) -> None:
    async def body() -> None:
        server = Served(models, watch_seconds=0.02)
        watching = asyncio.create_task(server.manager.watch())
        write_fake_bundle(models, "a")
        await until(lambda: server.served() == ["a/1", "a/2"])
        watching.cancel()

    run(body)


def test_a_bad_bundle_is_refused_by_name_and_tried_again_when_it_changes(models: Path) -> None:
    async def body() -> None:
        server = Served(models, version_policy="latest")
        second = write_fake_bundle(models, "a")
        good = (second / "golden.npz").read_bytes()
        damage(second)
        assert await server.rescan() == ["a/1"]
        state, reason = server.states()["a/2"]
        assert state == "refused"
        assert reason
        assert reason.startswith("golden.npz is damaged")
        assert str(models) not in reason
        assert await server.rescan() == ["a/1"]
        assert server.metric('vae_model_load_total{result="refused"}') == "1.0"
        (second / "golden.npz").write_bytes(good)
        assert await server.rescan() == ["a/2"]
        assert server.states()["a/1"] == ("unloaded", None)

    run(body)


def test_a_runtime_that_misses_the_golden_outputs_is_a_reason(models: Path) -> None:
    async def body() -> None:
        server = Served(models)
        server.loader._runtime_class = BrokenRuntime
        write_fake_bundle(models, "a")
        assert await server.rescan() == ["a/1"]
        assert "decoder misses the golden mean" in str(server.states()["a/2"])

    run(body)


def test_an_engine_that_breaks_is_a_reason_without_its_secrets(models: Path) -> None:
    class Breaks(FakeRuntime):
        def __init__(self, *args: Any, **options: Any) -> None:
            raise MemoryError("0xdeadbeef")

    async def body() -> None:
        server = Served(models)
        server.loader._runtime_class = Breaks
        write_fake_bundle(models, "a")
        assert await server.rescan() == ["a/1"]
        assert server.states()["a/2"] == ("refused", "it cannot be loaded: MemoryError")

    run(body)


def test_files_that_change_under_a_served_version_are_swapped_in_or_refused(models: Path) -> None:
    async def body() -> None:
        server = Served(models)
        first = server.loader.models.get("a")
        damage(models / "a" / "1")
        assert await server.rescan() == ["a/1"]
        assert server.loader.models.get("a") is first
        assert "golden.npz is damaged" in str(server.states()["a/1"])
        shutil.rmtree(models / "a" / "1")
        write_fake_bundle(models, "a")
        assert await server.rescan() == ["a/1"]
        assert server.loader.models.get("a") is not first
        assert server.states() == {"a/1": ("serving", None)}
        loads = server.metric('vae_model_load_total{result="loaded"}')
        (models / "a" / "1" / "golden.npz").touch()
        assert await server.rescan() == ["a/1"]
        assert server.metric('vae_model_load_total{result="loaded"}') == loads

    run(body)


def test_a_request_ends_on_the_model_it_began_on_and_then_that_is_gone(models: Path) -> None:
    async def body() -> None:
        server = Served(models, version_policy="latest")
        model = server.loader.models.get()
        runtime = model._batchers["encoder"]._run.args[0]  # type: ignore[attr-defined]
        runtime.gate.clear()
        asking = asyncio.create_task(model.reconstruct(ROWS, PosteriorOptions()))
        write_fake_bundle(models, "a")
        assert await server.rescan() == ["a/2"]
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
        server = Served(models)
        shutil.rmtree(models / "a")
        assert await server.rescan() == ["a/1"]
        shutil.rmtree(models)
        with pytest.raises(BundleError, match="no such directory"):
            await server.rescan()
        assert server.served() == ["a/1"]

    run(body)


def test_load_and_unload_say_what_they_could_not(models: Path) -> None:
    async def body() -> None:
        server = Served(models, version_policy="latest")
        write_fake_bundle(models, "a")
        damage(write_fake_bundle(models, "a"))
        await server.manager.load(ModelVersion("a", 1))
        assert server.served() == ["a/1", "a/2"]
        with pytest.raises(BundleRefused, match=r"golden\.npz is damaged"):
            await server.manager.load(ModelVersion("a", 3))
        for do in (server.manager.load, server.manager.unload):
            with pytest.raises(UnknownModel) as unknown:
                await do(ModelVersion("a", 4))
            assert unknown.value.given == "a/4"
        await server.manager.unload(ModelVersion("a", 2))
        await server.manager.unload(ModelVersion("a", 1))
        assert server.served() == []
        shutil.rmtree(models)
        with pytest.raises(BundleRefused, match="no such directory"):
            await server.manager.load(ModelVersion("a", 1))

    run(body)


def test_a_caller_who_goes_away_leaves_no_load_half_done(models: Path) -> None:
    async def body() -> None:
        server = Served(models, version_policy="a/1")
        write_fake_bundle(models, "a")
        loading = asyncio.create_task(server.manager.load(ModelVersion("a", 2)))
        await asyncio.sleep(0)
        loading.cancel()
        await until(lambda: server.served() == ["a/1", "a/2"])

    run(body)


def test_a_list_must_be_there_at_the_start(models: Path) -> None:
    with pytest.raises(BundleError, match="there is no a/2, b/1 in it"):
        Served(models, version_policy="a/1,b/1,a/2")
    assert Served(models, version_policy="a/1").served() == ["a/1"]


def test_a_refused_version_at_the_start_leaves_the_others_served(
    models: Path, caplog: pytest.LogCaptureFixture
) -> None:
    damage(write_fake_bundle(models, "a"))
    write_fake_bundle(models, "b")
    server = Served(models)
    assert server.served() == ["a/1", "b/1"]
    state, reason = server.states()["a/2"]
    assert state == "refused"
    assert reason
    assert reason.startswith("golden.npz is damaged")
    assert server.metric('vae_model_load_total{result="refused"}') == "1.0"
    assert caplog.text.count("refused a/2: golden.npz is damaged") == 1


def test_with_strict_a_refused_version_ends_the_start(models: Path) -> None:
    damage(write_fake_bundle(models, "a"))
    with pytest.raises(BundleError, match=r"a/2: golden\.npz is damaged"):
        Served(models, strict=True)


def test_a_start_with_nothing_to_serve_gives_the_first_reason(models: Path) -> None:
    damage(models / "a" / "1")
    (models / "a" / "2").mkdir()
    with pytest.raises(BundleError, match=r"a/1: golden\.npz is damaged"):
        Served(models)


def test_which_model_is_the_default_does_not_depend_on_what_could_be_loaded(models: Path) -> None:
    damage(write_fake_bundle(models, "b"))
    assert Served(models).loader.models.default is None
    server = Served(models, default_model="b")
    assert server.loader.models.default == "b"
    with pytest.raises(UnknownModel):
        server.loader.models.get()
    with pytest.raises(UnknownModel, match="the default model 'c'"):
        Served(models, default_model="c")


def test_a_broken_link_refuses_its_version_alone_and_is_logged_once(
    models: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        bad = write_fake_bundle(models, "a")
        (bad / "manifest.json").unlink()
        (bad / "manifest.json").symlink_to("nowhere")
        (models / "lost+found").mkdir()
        server = Served(models)
        assert server.served() == ["a/1"]
        write_fake_bundle(models, "b")
        assert await server.rescan() == ["a/1", "b/1"]
        assert server.states()["a/2"][0] == "refused"
        with pytest.raises(BundleRefused) as refused:
            await server.manager.load(ModelVersion("a", 2))
        assert str(models) not in str(refused.value)
        (bad / "manifest.json").unlink()
        shutil.copy(models / "a" / "1" / "manifest.json", bad)
        await server.rescan()
        assert "the manifest says a/1" in str(server.states()["a/2"])
        assert caplog.text.count("'lost+found'") == 1

    run(body)


def test_a_fifo_is_refused_at_the_start_and_later(models: Path) -> None:
    async def body() -> None:
        for _ in range(2):
            bad = write_fake_bundle(models, "a")
            (bad / "encoder.onnx").unlink()
            os.mkfifo(bad / "encoder.onnx")
            if bad.name == "2":
                server = Served(models)
        write_fake_bundle(models, "b")
        assert await server.rescan() == ["a/1", "b/1"]
        for version in ("a/2", "a/3"):
            assert server.states()[version] == ("refused", "encoder.onnx is not a regular file")

    run(body)


class HungStore(BundleStore):
    """Hangs in the read of a/2 until ``recovered`` is set."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.recovered = threading.Event()

    def open(self, version: ModelVersion) -> Bundle:
        if version == ModelVersion("a", 2):
            self.recovered.wait()
        return super().open(version)


def test_a_read_that_hangs_refuses_its_version_until_the_disk_recovers(models: Path) -> None:
    async def body() -> None:
        server = Served(models)
        server.manager._limit_seconds = 0.2
        store = server.manager._store = HungStore(models)
        write_fake_bundle(models, "a")
        write_fake_bundle(models, "b")
        assert await server.rescan() == ["a/1", "b/1"]
        assert server.states()["a/2"] == (
            "refused",
            "its files could not be read within 0.2 s",
        )
        assert await server.rescan() == ["a/1", "b/1"]
        store.recovered.set()
        await until(lambda: server.manager._state.next_load() is not None)
        assert await server.rescan() == ["a/1", "a/2", "b/1"]

    run(body)


def test_a_read_that_hangs_at_the_start_refuses_its_version(models: Path) -> None:
    write_fake_bundle(models, "a")
    manager, loader, _ = fake_manager(models)
    manager._limit_seconds = 0.2
    manager._store = HungStore(models)
    load_initial(manager, loader)
    assert [model.label for model in loader.models] == ["a/1"]


def test_a_load_that_never_ends_refuses_its_version_alone(models: Path) -> None:
    async def body() -> None:
        server = Served(models)
        write_fake_bundle(models, "a")
        server.loader._runtime_class = StuckRuntime
        server.loader._limit_seconds = 0.2
        assert await server.rescan() == ["a/1"]
        assert server.states()["a/2"] == ("refused", "it was not loaded within 0.2 s")
        server.loader._runtime_class = FakeRuntime
        server.loader._limit_seconds = 120
        write_fake_bundle(models, "b")
        assert await server.rescan() == ["a/1", "b/1"]

    run(body)


def test_a_scan_that_hangs_is_an_error_and_no_second_one_is_started(models: Path) -> None:
    class HungScan(BundleStore):
        scans = 0

        def scan(self) -> Scan:
            self.scans += 1
            threading.Event().wait(5)
            return super().scan()

    async def body() -> None:
        server = Served(models)
        server.manager._limit_seconds = 0.05
        store = server.manager._store = HungScan(models)
        for _ in range(2):
            with pytest.raises(BundleError, match="cannot be scanned within"):
                await server.rescan()
        assert store.scans == 1

    run(body)


def test_an_error_that_nobody_foresaw_refuses_its_version_alone(models: Path) -> None:
    class Exhausted(BundleStore):
        def open(self, version: ModelVersion) -> Bundle:
            if version == ModelVersion("a", 2):
                raise MemoryError
            return super().open(version)

    async def body() -> None:
        server = Served(models)
        server.manager._store = Exhausted(models)
        write_fake_bundle(models, "a")
        write_fake_bundle(models, "b")
        assert await server.rescan() == ["a/1", "b/1"]
        assert server.states()["a/2"] == ("refused", "it cannot be loaded: MemoryError")

    run(body)
