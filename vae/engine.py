"""onnxruntime, which reports to nobody: import it from here.

Since 1.29 its builds for Linux send what is run, and on which machine, to their maker, unless a
variable forbids it at the time that the library is loaded; see Privacy.md in its package. Nothing
here makes requests of its own.
"""

import os
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

__all__ = ["onnxruntime", "quantization"]


def quantization() -> Any:
    """onnxruntime's tools that quantise graphs: loaded only for the exports that ask for them."""
    from onnxruntime import quantization

    return quantization
