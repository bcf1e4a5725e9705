import subprocess
import sys

from tests.servers import ROOT

PROGRAM = """
import logging, time
from service.stop_timeout import StopTimeout
logging.basicConfig()
StopTimeout(0.1).start()
time.sleep(30)
"""


def test_a_process_that_does_not_stop_is_ended_with_status_1() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=25,
        check=False,
    )
    assert done.returncode == 1
    assert "has not stopped after 0.1 s and is ended" in done.stderr
