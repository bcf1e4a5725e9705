"""Files of metrics on a file system that becomes full."""

import subprocess
import sys
from pathlib import Path

import pytest

from service.telemetry.metric_files import INITIAL_BYTES, KINDS, ReservedFile, reserve
from tests.servers import ROOT, can_mount

PROGRAM = """
import sys
from pathlib import Path
from service.telemetry.metric_files import ReservedFile
directory = Path(sys.argv[1])
values = ReservedFile(str(directory / "counter_0.db"))
with (directory / "other").open("wb", buffering=0) as file:
    try:
        while file.write(bytes(4096)):
            pass
    except OSError:
        pass
for number in range(10_000):
    values.write_value(f"value {number}", float(number), 0.0)
assert values.read_value("value 1") == (1.0, 0.0)
assert values.read_value("value 9999") == (9999.0, 0.0)
found = {key: value for key, value, *_ in ReservedFile.read_all_values_from_file(values._fname)}
assert found["value 1"] == 1.0
try:
    ReservedFile(str(directory / "histogram_0.db"))
except OSError as error:
    print(error.strerror)
"""


def test_every_page_of_a_file_has_its_space(tmp_path: Path) -> None:
    reserve(tmp_path / "metrics", 3)
    for kind in KINDS:
        found = (tmp_path / f"metrics/{kind}_3.db").stat()
        assert found.st_size == INITIAL_BYTES
        assert found.st_blocks * 512 >= INITIAL_BYTES


def test_a_file_grows_and_keeps_its_values(tmp_path: Path) -> None:
    path = tmp_path / "counter_0.db"
    values = ReservedFile(str(path))
    for number in range(10_000):
        values.write_value(f"value {number}", float(number), 0.0)
    stat = path.stat()
    assert stat.st_size > INITIAL_BYTES
    assert stat.st_blocks * 512 >= stat.st_size
    again = {key: value for key, value, *_ in ReservedFile.read_all_values_from_file(str(path))}
    assert again == {f"value {number}": float(number) for number in range(10_000)}
    values.close()


@pytest.mark.skipif(not can_mount(), reason="needs the right to mount a file system")
def test_a_full_file_system_ends_no_process(tmp_path: Path) -> None:
    mounted = f'mount -t tmpfs -o size=1m none {tmp_path}\nexec "$@"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", mounted, "sh", sys.executable, "-c", PROGRAM, tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "metrics of this process are no longer shown: " in done.stderr
    assert done.stdout == "No space left on device\n"
