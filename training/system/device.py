"""The device that this process computes on, and how its GPU rounds float32 products."""

import os
from typing import Any

import torch

from training.errors import ConfigError

TF32_AND_IEEE = {True: "tf32", False: "ieee"}


def open_device(name: str) -> torch.device:
    """The device of this process, which becomes the current CUDA device if it is one.

    ``cuda`` is a device of its own for each process of a machine. Rounding to TF32, which is
    cuDNN's default, is switched off. Raises ConfigError if the device does not exist: there is no
    fallback to another one.
    """
    device = torch.device(name)
    if device.type == "cpu":
        return device
    count = torch.cuda.device_count()
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if processes > 1 and device.index is not None:
        raise ConfigError(f"device: {name} is one device for {processes} processes; name it cuda")
    index = int(os.environ.get("LOCAL_RANK", "0")) if device.index is None else device.index
    if index >= count:
        raise ConfigError(f"device: cuda:{index} does not exist; torch finds {count} CUDA devices")
    device = torch.device("cuda", index)
    # CUDA graphs, NCCL and kernels without tensor arguments use the current device.
    torch.cuda.set_device(device)
    set_tf32(convolutions=False, products=False)
    return device


def tf32_enabled() -> tuple[bool, bool]:
    """Whether a GPU may round the inputs of convolutions and of matrix products to TF32."""
    cudnn, matmul = _backends()
    if _has_fp32_precision():
        return cudnn.conv.fp32_precision == "tf32", matmul.fp32_precision == "tf32"
    return cudnn.allow_tf32, matmul.allow_tf32


def set_tf32(convolutions: bool, products: bool) -> None:
    """Allow or forbid rounding to TF32. torch before 2.9 only has the ``allow_tf32`` switches."""
    cudnn, matmul = _backends()
    if _has_fp32_precision():
        cudnn.conv.fp32_precision = TF32_AND_IEEE[convolutions]
        matmul.fp32_precision = TF32_AND_IEEE[products]
    else:
        cudnn.allow_tf32 = convolutions
        matmul.allow_tf32 = products


def _backends() -> tuple[Any, Any]:
    return torch.backends.cudnn, torch.backends.cuda.matmul


def _has_fp32_precision() -> bool:
    return hasattr(torch.backends.cudnn, "conv")
