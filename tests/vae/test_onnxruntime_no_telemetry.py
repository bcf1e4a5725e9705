"""onnxruntime's telemetry is disabled before the library is loaded."""

import os
import subprocess
import sys
from pathlib import Path


def test_loading_writes_no_machine_identifier(tmp_path: Path) -> None:
    """What reports would have sent with it is a file that loading alone used to write."""
    ignored = ("CI", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")  # each would hide the file
    environment = {name: value for name, value in os.environ.items() if name not in ignored}
    subprocess.run(
        [sys.executable, "-c", "import vae.onnxruntime_no_telemetry"],
        env=environment | {"HOME": str(tmp_path)},
        check=True,
    )
    assert list(tmp_path.iterdir()) == []
