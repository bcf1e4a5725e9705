"""schemathesis: requests made of the OpenAPI document, answered as the document says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes import write_fake_bundle
from tests.servers import Server, serving

pytestmark = pytest.mark.chaos

# The shape of a row is the model's and not the document's, so that rows may fit the one and not
# the other; and it cannot say that options stand in one place.
LEFT_OUT = "positive_data_acceptance"
KEY = "k-one"
MODEL = """
[parameters]
"path.model" = "fake"
"path.version" = 1
"""


def schemathesis(server: Server, config: Path, examples: int) -> str:
    """Run every check but that of LEFT_OUT; what it printed."""
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run"]
    command += [f"{server.url}/openapi.json", "--exclude-checks", LEFT_OUT, "--no-color"]
    command += ["--max-examples", str(examples), "--seed", "1", "--header", f"X-API-Key: {KEY}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=config.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("what", "parameters", "examples", "keys"),
    [
        ("the model that there is", MODEL, 1000, ["--api-keys", KEY]),
        ("models of any name", "", 300, ["--api-keys", KEY, "--admin-keys", KEY]),
    ],
)
def test_the_document_is_kept(
    tmp_path: Path, what: str, parameters: str, examples: int, keys: list[str]
) -> None:
    """With administrators only where no name fits: else the model would be unloaded."""
    write_fake_bundle(tmp_path / "models")
    config = tmp_path / "schemathesis.toml"
    config.write_text(parameters)
    # Nobody reads the log: when its pipe was full, the server would wait for whoever does.
    options = ("--runtime", "tests.fakes:FakeRuntime", "--log-level", "error", *keys)
    with serving(tmp_path / "models", *options) as server:
        said = schemathesis(server, config, examples)
    cases = re.search(r"(\d+) generated, (\d+) passed", said)
    assert cases, said
    print(f"\n{what}: {cases[1]} cases, {cases[2]} passed")
