import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource
import numpy as np
from service.memory import keep_freed_memory

assert keep_freed_memory()

def batch():
    return [np.ones((256, 784), np.float32) for _ in range(8)]

for _ in range(20):
    batch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(100):
    batch()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 100)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the thresholds are glibc's")
def test_arrays_of_a_batch_cost_no_page_faults() -> None:
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    assert float(found.stdout) < 5
