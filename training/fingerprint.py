"""What tells one data set from another."""

import hashlib

from torch import Tensor


def fingerprint(x: Tensor) -> str:
    """SHA-256 of the rows, their type and their shape."""
    digest = hashlib.sha256(f"{x.dtype} {tuple(x.shape)}".encode())
    digest.update(x.contiguous().numpy().data)
    return digest.hexdigest()
