"""Checks a runtime against the golden outputs of its bundle, before the model serves."""

from typing import Final

import numpy as np

from service.arrays import Precision
from service.runtimes.runtime import Runtime, RuntimeUnusable
from vae.bundle import Arrays, Bundle
from vae.manifest import Manifest
from vae.parity import difference, magnitudes

TOLERANCES: Final[dict[Precision, float]] = {"float32": 1e-4, "tf32": 4e-3, "bfloat16": 3e-2}
"""Relative deviations. The largest one measured in bfloat16 is 5e-3; TF32 has three more bits."""


def check_golden(bundle: Bundle, runtime: Runtime, precision: Precision = "float32") -> None:
    """Run every graph on the golden inputs.

    Raises RuntimeUnusable if a graph fails on them, or if an output deviates from the stored one by
    more than the tolerance of the precision, as ``vae.parity`` measures it.
    """
    allowed = TOLERANCES[precision]
    sizes = magnitudes(bundle.manifest)
    for graph in bundle.manifest.graphs:
        golden = bundle.arrays("golden.npz", *graph.inputs, *graph.outputs)
        _check_rows(bundle.manifest, golden)
        try:
            outputs = runtime.run(graph, tuple(golden[name] for name in graph.inputs))
        except Exception as error:  # engines raise classes of their own
            raise RuntimeUnusable(f"{graph.name} fails on the golden inputs: {error}") from None
        for name, output in zip(graph.outputs, outputs, strict=True):
            if output.shape != golden[name].shape:
                raise RuntimeUnusable(
                    f"{graph.name} gives {name} of shape {output.shape}, "
                    f"golden is {golden[name].shape}"
                )
            deviation = difference(output, golden[name], sizes[name])
            if not deviation <= allowed:  # a NaN fails, too
                raise RuntimeUnusable(
                    f"{graph.name} misses the golden {name} by {deviation:.3g} (relative); "
                    f"allowed in {precision} is {allowed:.0e}"
                )


def _check_rows(manifest: Manifest, golden: Arrays) -> None:
    """Raises RuntimeUnusable if the golden rows do not have the shapes that the manifest gives."""
    for name, array in golden.items():
        shape = manifest.row_shapes[name]
        if array.dtype != np.float32 or array.size == 0 or array.shape != array.shape[:1] + shape:
            raise RuntimeUnusable(
                f"the golden {name} is {array.dtype} of shape {array.shape}, "
                f"expected float32 of rows of shape {shape}"
            )
