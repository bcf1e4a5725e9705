"""The two array types that travel through the service."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Array = NDArray[Any]
Arrays = Mapping[str, Float32]
