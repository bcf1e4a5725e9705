"""The device that a process works on."""

import os

import torch

from training.errors import ConfigError


def open_device(name: str) -> torch.device:
    """The device, which must be there; ``cuda`` is one of its own for each process of a machine,
    and does not round to TF32, as cuDNN would by itself.

    Raises ConfigError: there is no falling back to another.
    """
    device = torch.device(name)
    if device.type == "cpu":
        return device
    found = torch.cuda.device_count()
    together = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if together > 1 and device.index is not None:
        raise ConfigError(f"device: {name} is one device for {together} processes; name it cuda")
    index = int(os.environ.get("LOCAL_RANK", "0")) if device.index is None else device.index
    if index >= found:
        raise ConfigError(
            f"device: cuda:{index} is not there; this torch sees {found} CUDA devices"
        )
    torch.backends.cudnn.allow_tf32 = False
    return torch.device("cuda", index)
