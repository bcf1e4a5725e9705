"""Directories of the benchmarks."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
BUILD: Final = ROOT / "build" / "bench"
VENVS: Final = BUILD / "venvs"
SERVERS: Final = Path(__file__).parent / "servers"
