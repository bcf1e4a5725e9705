"""The limit of open files, in processes of their own."""

import subprocess
import sys

import pytest

from tests.servers import ROOT

PROGRAM = """
import resource, sys
from service.workers.open_files import make_room
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
print(make_room(300), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "says"),
    [
        ("200", "1000", "300 428 1000"),
        ("500", "1000", "300 500 1000"),
        ("200", "400", "272 400 400"),
        ("60", "60", "1 60 60"),
    ],
    ids=["raised", "enough", "raised as far as it goes", "hardly any"],
)
def test_the_limit_is_raised_as_far_as_needed_and_allowed(soft: str, hard: str, says: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, soft, hard],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == says
