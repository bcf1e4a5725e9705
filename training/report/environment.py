"""The environment of a run, which its results depend on besides the options."""

import os
import platform
from collections.abc import Mapping

import torch

from training.config.train_config import TrainConfig
from training.system.versions import versions


def environment(config: TrainConfig) -> Mapping[str, str]:
    """Device, system and package versions by name, without host name and paths."""
    return {
        "device": _device(config.device),
        "CPU threads": f"{torch.get_num_threads()} of {os.cpu_count()} cores",
        "system": platform.platform(terse=True),
        "Python": platform.python_version(),
        **versions(),
    }


def _device(name: str) -> str:
    device = torch.device(name)
    if device.type == "cuda":
        return f"{name}, {torch.cuda.get_device_name(device)}"
    return f"{name}, {platform.processor() or platform.machine()}"
