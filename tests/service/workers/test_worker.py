import subprocess
import sys
from pathlib import Path

from pydantic import SecretStr

from service.settings import Settings
from service.workers.snapshot import Copy
from service.workers.worker import WorkerConfig
from tests.servers import ROOT


def test_an_order_arrives_as_it_was_sent_with_its_secrets(tmp_path: Path) -> None:
    settings = Settings(
        models=tmp_path / "a name with spaces", api_keys=(SecretStr("k-ключ"),), workers=3
    )
    order = WorkerConfig(
        slot=2,
        listeners=(5, 7),
        stock=(Copy("copies/1", "a name/1"), Copy("copies/2", "other/1")),
        private=tmp_path,
        settings=settings,
    )
    line = order.to_line()
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert WorkerConfig.from_line(line) == order


def test_a_worker_started_by_hand_says_what_starts_it() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "service.workers.worker"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "vae-serve --workers" in done.stderr
    assert "Traceback" not in done.stderr
