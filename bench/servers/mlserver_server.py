"""MLServer: writes its settings into the working directory and starts it there."""

import json
import os
from pathlib import Path

from onnx_vae import MAX_BATCH, PORT, WAIT_SECONDS

BATCHING = {"max_batch_size": MAX_BATCH, "max_batch_time": WAIT_SECONDS}

if __name__ == "__main__":
    ports = {"http_port": PORT, "grpc_port": PORT + 1, "metrics_port": PORT + 2}
    settings = {"host": "127.0.0.1", "debug": False, "parallel_workers": 0, **ports}
    Path("settings.json").write_text(json.dumps({**settings, "metrics_endpoint": None}))
    for runtime, options in {"Encode": BATCHING, "Reconstruct": BATCHING, "Sample": {}}.items():
        name = runtime.lower()
        model = {"name": name, "implementation": f"mlserver_runtimes.{runtime}", **options}
        Path(name).mkdir()
        Path(name, "model-settings.json").write_text(json.dumps(model))
    os.execvp("mlserver", ["mlserver", "start", "."])
