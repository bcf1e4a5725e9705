"""onnxruntime is told to report to nobody before it is loaded."""

import os
import subprocess
import sys
from pathlib import Path


def test_the_engine_keeps_no_identity_of_this_machine(tmp_path: Path) -> None:
    """What reports would have sent with it is a file that loading alone used to write."""
    told = ("CI", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")  # each would hide the difference
    environment = {name: value for name, value in os.environ.items() if name not in told}
    subprocess.run(
        [sys.executable, "-c", "import vae.onnxruntime_no_telemetry"],
        env=environment | {"HOME": str(tmp_path)},
        check=True,
    )
    assert list(tmp_path.iterdir()) == []
