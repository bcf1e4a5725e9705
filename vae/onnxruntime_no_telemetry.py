"""onnxruntime with its telemetry disabled. Import onnxruntime only from here.

Since version 1.29 its Linux builds send usage data and an identifier of the machine to their vendor
unless an environment variable forbids it when the library is loaded (Privacy.md in its package).
"""

import os
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

__all__ = ["onnxruntime", "quantization"]


def quantization() -> Any:
    """The module ``onnxruntime.quantization``, loaded only by exports that quantise graphs."""
    from onnxruntime import quantization

    return quantization
