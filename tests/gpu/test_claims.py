"""The script of GPU claims runs to its end on a machine without a GPU, and claims nothing there."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parent / "claims.py"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU: run make test-gpu")
def test_without_a_gpu_no_claim_is_tried() -> None:
    found = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, check=True)
    *lines, last = found.stdout.splitlines()
    assert len(lines) > 15
    assert all(line.startswith("not tried") for line in lines)
    assert last == f"0 holds, 0 does not, {len(lines)} not tried"
