import subprocess
import sys

from tests.servers import ROOT


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
