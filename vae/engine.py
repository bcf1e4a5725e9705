"""onnxruntime with its telemetry switched off: import it from here.

Since 1.29 the builds for Linux send usage data to their maker unless this variable is set before
the library is loaded; see Privacy.md in the package.
"""

import os
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

__all__ = ["onnxruntime", "quantization"]


def quantization() -> Any:
    """onnxruntime's tools that quantise graphs, loaded only when an export needs them."""
    from onnxruntime import quantization

    return quantization
