"""Check on a GPU what the documentation says of GPUs: ``make test-gpu``.

Needs torch, numpy and onnxruntime on the machine; other packages are taken from a directory of
wheels that ``make gpu-wheels`` fills. Prints for each claim whether it holds, does not hold or was
not tried, and ends with status 1 if one does not hold. Takes some minutes, at most ten.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
LIMIT_SECONDS: Final = 570.0
TRAIN: Final = ("--data", "digits", "--epochs", "2", "--hidden", "64", "--latent-dim", "8")
BUNDLES: Final = {
    "plain": (),
    "conv": ("--network", "conv", "--channels", "4,8"),
    "causal": ("--causal-radius", "1", "--causal-channels", "4"),
    "int8": ("--quantize",),
}


class Bench:
    """Trains the models that checks need, once each."""

    def __init__(self, directory: Path, started: float) -> None:
        self.directory = directory
        self._started = started

    def train(self, name: str, *options: str) -> Path:
        """Run ``python -m training train``; returns the bundle. Raises AssertionError."""
        bundle = self.directory / "models" / name / "1"
        if not bundle.exists():
            self.command(
                *("-m", "training", "train", *TRAIN, "--name", name),
                *("--run", str(self.directory / "runs" / name)),
                *("--models", str(self.directory / "models"), *options),
            )
        return bundle

    def command(self, *arguments: str) -> str:
        """Run Python; returns what it printed. Raises AssertionError if it fails."""
        left = LIMIT_SECONDS - (time.monotonic() - self._started)
        done = subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=left
        )
        assert done.returncode == 0, (done.stderr.strip() or "no message").splitlines()[-1]
        return done.stdout

    def runtime(self, engine: str, name: str, precision: str = "float32") -> tuple[Any, Any]:
        """A bundle, and a runtime on CUDA that has it loaded."""
        from service.runtimes.runtime import resolve
        from vae.bundle import open_bundle

        bundle = open_bundle(self.train(name, *BUNDLES[name]))
        made = resolve(engine)(bundle, device="cuda", threads=1, precision=precision)  # type: ignore[arg-type]
        return bundle, made

    def golden(self, engine: str, name: str, precision: str = "float32") -> None:
        """Load a bundle on CUDA and compare its golden outputs."""
        from service.models.golden import check_golden

        bundle, runtime = self.runtime(engine, name, precision)
        check_golden(bundle, runtime, precision)  # type: ignore[arg-type]


def any_rows(bench: Bench) -> None:
    """Batches of any number of rows agree with the CPU to 10⁻⁴."""
    import numpy as np

    from service.runtimes.runtime import resolve
    from vae.graphs import ENCODER

    bundle, on_cuda = bench.runtime("torch", "plain")
    on_cpu = resolve("torch")(bundle, device="cpu", threads=1, precision="float32")
    for rows in (1, 3, 16, 100, 256, 700):
        x = np.random.default_rng(rows).uniform(0, 16, (rows, *bundle.manifest.input.shape))
        inputs = (x.astype(np.float32),)
        pairs = zip(on_cuda.run(ENCODER, inputs), on_cpu.run(ENCODER, inputs), strict=True)
        assert all(np.allclose(a, b, rtol=1e-4, atol=1e-4) for a, b in pairs), f"{rows} rows differ"


def failed_capture(bench: Bench) -> None:
    """After a capture that failed, the thread is on the stream on which it was."""
    import torch

    from service.runtimes import cuda

    before = torch.cuda.current_stream()
    try:
        cuda.capture(lambda x: (x * x.sum().item(),), [(3,)])
    except RuntimeError:
        assert torch.cuda.current_stream() == before, "the thread is on another stream"
        assert torch.ones(3, device="cuda").sum().item() == 3
        return
    raise AssertionError("a function that asks the device for a value was captured")


def load_while_serving(bench: Bench) -> None:
    """While a model is captured, another one goes on and gives the same outputs."""
    import numpy as np

    from vae.graphs import ENCODER

    bundle, serving = bench.runtime("torch", "plain")
    bench.train("conv", *BUNDLES["conv"])
    x = np.random.default_rng(0).uniform(0, 16, (64, *bundle.manifest.input.shape))
    inputs = (x.astype(np.float32),)
    expected = serving.run(ENCODER, inputs)
    errors: list[BaseException] = []

    def load() -> None:
        try:
            bench.golden("torch", "conv")
        except BaseException as error:
            errors.append(error)

    loading = threading.Thread(target=load)
    loading.start()
    slowest = 0.0
    while loading.is_alive():
        started = time.perf_counter()
        outputs = serving.run(ENCODER, inputs)
        slowest = max(slowest, time.perf_counter() - started)
        assert all(map(np.array_equal, outputs, expected)), "outputs changed"
    assert not errors, errors
    assert slowest < 0.5, f"a batch took {slowest:.2f} s"


def captured(bench: Bench) -> None:
    """Every graph of a plain model is captured."""
    import logging

    class Warnings(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record.getMessage())

    found: list[str] = []
    logger, handler = logging.getLogger("service.runtimes.torch"), Warnings()
    logger.addHandler(handler)
    try:
        bench.runtime("torch", "plain")
        bench.runtime("torch", "conv")
    finally:
        logger.removeHandler(handler)
    assert not found, found[0]


def workers(bench: Bench) -> None:
    """More than one worker on a GPU is refused."""
    bundle = bench.train("plain")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "service", "--models", str(bundle)),
            *("--device", "cuda", "--workers", "2", "--port", "0"),
        ],
        cwd=ROOT,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0, "two workers were started"


def torchrun(bench: Bench) -> None:
    """``torchrun`` trains on CUDA with NCCL, here with one process."""
    bench.command(
        *("-m", "torch.distributed.run", "--nproc-per-node", "1", "-m", "--"),
        *("training", "train", *TRAIN, "--run", str(bench.directory / "runs" / "nccl")),
        *("--device", "cuda"),
    )


def trained(name: str, *options: str) -> Callable[[Bench], None]:
    """A check that a run on CUDA ends with a bundle whose golden outputs the CPU gives."""

    def check(bench: Bench) -> None:
        from service.models.golden import check_golden
        from service.runtimes.runtime import resolve
        from vae.bundle import open_bundle

        bundle = open_bundle(bench.train(name, "--device", "cuda", *options))
        runtime = resolve("onnx")(bundle, device="cpu", threads=1, precision="float32")
        check_golden(bundle, runtime, "float32")

    return check


def golden(engine: str, name: str, precision: str = "float32") -> Callable[[Bench], None]:
    """A check that a runtime on CUDA gives the golden outputs."""
    return lambda bench: bench.golden(engine, name, precision)


CLAIMS: Final[tuple[tuple[str, str, Callable[[Bench], None]], ...]] = (
    ("service.md", "torch on cuda gives the golden outputs in float32", golden("torch", "plain")),
    ("service.md", "the same for convolutions", golden("torch", "conv")),
    ("service.md", "the same for an autoregressive p(x|z)", golden("torch", "causal")),
    ("service.md", "torch in tf32 is within its tolerance", golden("torch", "conv", "tf32")),
    (
        "service.md",
        "torch in bfloat16 is within its tolerance",
        golden("torch", "conv", "bfloat16"),
    ),
    ("service.md", "torch captures each graph as a CUDA graph", captured),
    ("service.md", "a batch of any size is right, padded or in chunks", any_rows),
    ("service.md", "a failed capture leaves the thread on its stream", failed_capture),
    ("service.md", "a model loads while another one serves", load_while_serving),
    ("service.md", "onnx on cuda gives the golden outputs in float32", golden("onnx", "plain")),
    ("service.md", "the same for convolutions", golden("onnx", "conv")),
    ("service.md", "the same for an autoregressive p(x|z)", golden("onnx", "causal")),
    ("service.md", "onnx in tf32 is within its tolerance", golden("onnx", "conv", "tf32")),
    ("training.md", "an int8 bundle gives its golden outputs on cuda", golden("onnx", "int8")),
    ("workers.md", "--device cuda with two workers is refused", workers),
    ("training.md", "--device cuda trains", trained("cuda")),
    ("training.md", "--device cuda:0 trains", trained("cuda-0", "--device", "cuda:0")),
    (
        "training.md",
        "--precision bfloat16 trains on cuda",
        trained("bf16", "--precision", "bfloat16"),
    ),
    ("training.md", "--precision tf32 trains on cuda", trained("tf32", "--precision", "tf32")),
    ("training.md", "--cuda-graph trains", trained("graph", "--cuda-graph")),
    ("training.md", "torchrun trains on cuda with NCCL", torchrun),
)


def missing() -> str | None:
    """Why no claim can be tried on this machine."""
    try:
        import torch
    except ImportError:
        return "torch is not installed"
    return None if torch.cuda.is_available() else "torch sees no CUDA device"


def try_claim(check: Callable[[Bench], None], bench: Bench, started: float) -> tuple[str, str]:
    """The verdict and its reason."""
    if time.monotonic() - started > LIMIT_SECONDS:
        return "not tried", "the time is over"
    try:
        check(bench)
    except (ImportError, subprocess.TimeoutExpired) as error:
        return "not tried", str(error)
    except Exception as error:
        return "does not", f"{type(error).__name__}: {error}".splitlines()[0]
    return "holds", ""


def install(wheels: Path, target: Path) -> None:
    """Unpack wheels that this machine lacks; its own packages stay before them."""
    files = sorted(map(str, wheels.glob("*.whl")))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*pip, "--target", str(target), *files], check=True)
    sys.path.append(str(target))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheels", type=Path, help="a directory of wheels to use")
    wheels = parser.parse_args().wheels
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        reason = missing()
        if reason is None and wheels is not None:
            install(wheels, Path(directory) / "packages")
        sys.path.insert(0, str(ROOT))
        os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)  # for the commands
        bench = Bench(Path(directory), started)
        verdicts = []
        for document, claim, check in CLAIMS:
            verdict, why = ("not tried", reason) if reason else try_claim(check, bench, started)
            verdicts.append(verdict)
            print(f"{verdict:9}  {document:12}  {claim}{': ' + why if why else ''}", flush=True)
    print(", ".join(f"{verdicts.count(v)} {v}" for v in ("holds", "does not", "not tried")))
    return 1 if "does not" in verdicts else 0


if __name__ == "__main__":
    sys.exit(main())
