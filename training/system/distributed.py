"""The group of processes that train one model together, as torchrun starts them.

Each process works on its slice of every batch. The sum of the gradients, each weighted by its share
of the batch's rows, is the gradient of the batch, so the group computes what one process would.
Gradients are summed in one message per step after the backward pass. DistributedDataParallel is
not used: it averages slices of unequal sizes as if they were equal, requires every parameter in one
``forward``, and its overlap of communication and computation gains little on networks of this size.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch

# torch.optim imports this module lazily, and its default arguments hold the process group of that
# moment. An import after init_process_group would keep the group alive, and its threads abort the
# interpreter at exit.
import torch.distributed.nn
from torch import Tensor
from torch import distributed as dist

from training.errors import ConfigError, RunError


class ProcessGroup:
    """A group of one process, and the interface of every group.

    ``rank`` counts from 0. The process with rank 0 is the main process, which alone writes files.
    """

    rank = 0
    size = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes the run directory and prints."""
        return self.rank == 0

    def local_slice(self, rows: int) -> slice:
        """This process's slice of ``rows`` rows. Sizes differ by 1 at most and may be 0."""
        return slice(rows * self.rank // self.size, rows * (self.rank + 1) // self.size)

    def all_reduce(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over all processes, bit for bit the same in each."""

    def broadcast(self, content: bytes) -> bytes:
        """Return the ``content`` of the main process in every process."""
        return content


SINGLE_PROCESS = ProcessGroup()


class DistributedGroup(ProcessGroup):
    """Several processes, on one machine or many, over torch.distributed.

    All methods raise RunError if another process has ended.
    """

    def __init__(self, device: torch.device) -> None:
        self.rank = dist.get_rank()
        self.size = dist.get_world_size()
        self._device = device

    def all_reduce(self, tensors: Sequence[Tensor]) -> None:
        flat = torch.cat([tensor.reshape(-1).float() for tensor in tensors])
        with self._raising_run_error():
            dist.all_reduce(flat)
        totals = torch.split(flat, [tensor.numel() for tensor in tensors])
        for tensor, total in zip(tensors, totals, strict=True):
            tensor.copy_(total.view(tensor.shape))

    def broadcast(self, content: bytes) -> bytes:
        size = torch.tensor([len(content)], device=self._device)
        with self._raising_run_error():
            dist.broadcast(size, 0)
            message = torch.empty(int(size), dtype=torch.uint8, device=self._device)
            if self.is_main:
                message.copy_(torch.from_numpy(np.frombuffer(content, np.uint8).copy()))
            dist.broadcast(message, 0)
        return message.cpu().numpy().tobytes()

    @contextmanager
    def _raising_run_error(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise RunError(
                f"process {self.rank} of {self.size} lost the others: {reason:.200}"
            ) from None


@contextmanager
def join_process_group(device: torch.device) -> Iterator[ProcessGroup]:
    """The group that torchrun put this process into; a group of one without torchrun.

    Raises ConfigError if the group cannot be joined.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield SINGLE_PROCESS
        return
    try:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    except (ValueError, RuntimeError) as error:
        raise ConfigError(f"cannot join the process group: {error}") from None
    try:
        yield DistributedGroup(device)
    finally:
        dist.destroy_process_group()
