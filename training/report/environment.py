"""Where a run takes place: what the figures on its report depend on besides its options."""

import os
import platform
from collections.abc import Mapping

import torch

from training.config.options import TrainConfig
from training.system.versions import versions


def environment(config: TrainConfig) -> Mapping[str, str]:
    """Names and values for a reader; the machine's name and its paths are nobody's business."""
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
