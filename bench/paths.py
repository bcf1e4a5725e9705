"""Where things are."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
BUILD: Final = ROOT / "build" / "bench"
POST_SCRIPT: Final = Path(__file__).parent / "post.lua"
