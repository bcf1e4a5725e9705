"""safetensors: named arrays, no options.

Specification: https://huggingface.co/docs/safetensors/index#format.
"""

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from service.arrays import Arrays, Float32
from service.errors import InvalidInput, Malformed
from service.wire.rows import RowSpec
from vae.manifest import InputSpec


def read(body: bytes, spec: RowSpec) -> tuple[Float32, dict[str, str]]:
    """The rows of ``spec``, which must be the only array.

    Raises Malformed when the body is no whole safetensors file.
    """
    try:
        arrays = safetensors.numpy.load(body)
    except SafetensorError as error:
        raise Malformed(f"the body is not a safetensors file: {error}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"the body holds a dtype that is not read here: {error}") from None
    if arrays.keys() != {spec.name}:
        raise InvalidInput(
            "the body does not hold the one array that is expected",
            expected=spec.name,
            given=", ".join(arrays) or "none",
        )
    return spec.check(arrays[spec.name]), {}


def write(arrays: Arrays, image: InputSpec) -> bytes:  # noqa: ARG001 (the seam of all formats)
    """All arrays under their names."""
    return safetensors.numpy.save(
        {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    )
