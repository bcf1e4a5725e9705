"""Versions of the packages that write a bundle."""

import importlib.metadata

import onnx
import torch

from vae.onnxruntime_no_telemetry import onnxruntime as ort


def versions() -> dict[str, str]:
    """What wrote the bundle."""
    return {
        "torch": torch.__version__,
        "onnx": onnx.__version__,
        "onnxruntime": ort.__version__,
        "vae-server": _own_version(),
    }


def _own_version() -> str:
    try:
        return importlib.metadata.version("vae-server")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
