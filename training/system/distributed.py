"""The processes that train one model together, as torchrun starts them.

Each takes its slice of every batch, and what they do together is what one process would have done
alone: the sum of gradients, each weighed by its share of the batch's rows, is the gradient of the
batch. The sum goes in one message a step, after the backward pass. DistributedDataParallel, which
sends while the backward pass runs, would average slices of unequal sizes as if they were equal,
wants every parameter used through one ``forward``, and gains little on networks of this size.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch

# Torch's optimisers import it, and default arguments in it are the group of that moment, which then
# would never be destroyed: the threads of a group abort an interpreter that ends before them.
import torch.distributed.nn
from torch import Tensor
from torch import distributed as dist

from training.errors import ConfigError, RunError


class Group:
    """One process by itself, and what the code asks of any group.

    ``rank`` numbers the processes from 0; the one with rank 0 is ``main``, which alone writes.
    """

    rank = 0
    size = 1

    @property
    def main(self) -> bool:
        """Whether this process holds the run's directory and speaks to the user."""
        return self.rank == 0

    def part(self, rows: int) -> slice:
        """This process's slice of ``rows`` rows; the sizes differ by one at most, and may be 0."""
        return slice(rows * self.rank // self.size, rows * (self.rank + 1) // self.size)

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over all processes, the same bits in each of them."""

    def broadcast(self, content: bytes) -> bytes:
        """The main process's ``content``."""
        return content

    def require_same(self, what: str, found: str) -> None:
        """Raise RunError in a process whose ``found`` is not that of the main process."""
        if (main := self.broadcast(found.encode()).decode()) != found:
            raise RunError(
                f"process {self.rank} of {self.size} has other {what} than process 0: "
                f"{found:.80} is not {main:.80}"
            )


ALONE = Group()


class ProcessGroup(Group):
    """Several processes, of one machine or many, over torch.distributed."""

    def __init__(self, device: torch.device) -> None:
        self.rank = dist.get_rank()
        self.size = dist.get_world_size()
        self._device = device

    def add(self, tensors: Sequence[Tensor]) -> None:
        flat = torch.cat([tensor.reshape(-1).float() for tensor in tensors])
        with self._together():
            dist.all_reduce(flat)
        totals = torch.split(flat, [tensor.numel() for tensor in tensors])
        for tensor, total in zip(tensors, totals, strict=True):
            tensor.copy_(total.view(tensor.shape))

    def broadcast(self, content: bytes) -> bytes:
        size = torch.tensor([len(content)], device=self._device)
        with self._together():
            dist.broadcast(size, 0)
            message = torch.empty(int(size), dtype=torch.uint8, device=self._device)
            if self.main:
                message.copy_(torch.from_numpy(np.frombuffer(content, np.uint8).copy()))
            dist.broadcast(message, 0)
        return message.cpu().numpy().tobytes()

    @contextmanager
    def _together(self) -> Iterator[None]:
        """What torch says when another process has ended, as a RunError."""
        try:
            yield
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise RunError(
                f"process {self.rank} of {self.size} lost the others: {reason:.200}"
            ) from None


@contextmanager
def join(device: torch.device) -> Iterator[Group]:
    """The group that torchrun put this process into; without torchrun, this process alone."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    try:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    except (ValueError, RuntimeError) as error:
        raise ConfigError(f"the group of processes cannot be joined: {error}") from None
    try:
        yield ProcessGroup(device)
    finally:
        dist.destroy_process_group()
