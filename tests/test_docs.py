"""The docs tell the truth: their commands run, and they name every setting."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from service.settings import Settings
from tests.conftest import TrainBundle
from tests.servers import ROOT, Server, serving
from training.commands.evaluate import EvaluateCommand
from training.commands.exact import ExactCommand
from training.commands.export import ExportCommand
from training.commands.train import TrainCommand

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "client/README.md"]
PAGES += sorted((ROOT / "docs").glob("*.md"))
DEMO_URL = "http://127.0.0.1:8000"


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def demo(train_bundle: TrainBundle) -> Iterator[Server]:
    """The demo's model, with less training, behind a real server."""
    with serving(train_bundle("digits", "digits")) as server:
        yield server


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_curl_lines_work_as_printed(demo: Server, tmp_path: Path) -> None:
    scripts = [block for block in blocks(ROOT / "README.md", "sh") if block.startswith("curl")]
    for verb in ("encode", "decode", "sample", "reconstruct", "score"):
        assert any(f"{DEMO_URL}/{verb}" in script for script in scripts)
    for script in scripts:
        line = script.replace(DEMO_URL, demo.url).replace("curl ", "curl -sS --fail-with-body ")
        done = subprocess.run(
            ["bash", "-ec", line], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    for picture in ("samples.png", "digit.png", "again.png"):
        assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", ROOT / "client/README.md"], ids=lambda p: p.parent.name
)
def test_the_python_blocks_run(page: Path, demo: Server) -> None:
    programs = blocks(page, "python")
    assert programs
    for program in programs:
        code = compile(program.replace(DEMO_URL, demo.url), str(page), "exec")
        exec(code, {"__name__": "example"})


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    targets |= {f"reproduce-{path.stem}" for path in (ROOT / "training/recipes").glob("*.yaml")}
    for page in PAGES:
        for block in blocks(page, "sh"):
            named = set(re.findall(r"^(?:\S+=\S+ )*make ([a-z-]+)", block, re.MULTILINE))
            assert named <= targets, page


def test_every_setting_is_documented() -> None:
    text = (ROOT / "docs/service.md").read_text()
    assert [name for name in Settings.model_fields if f"`{name}`" not in text] == []


@pytest.mark.parametrize("command", [TrainCommand, EvaluateCommand, ExportCommand, ExactCommand])
def test_every_training_option_is_documented(command: type[BaseModel]) -> None:
    text = (ROOT / "docs/training.md").read_text()
    flags = [f"--{name.replace('_', '-')}" for name in command.model_fields]
    assert [flag for flag in flags if f"`{flag}`" not in text] == []


def test_the_readme_lists_every_page() -> None:
    listed = set(re.findall(r"\]\((docs/\w+\.md)\)", (ROOT / "README.md").read_text()))
    assert listed == {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")}


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page}: {target}"


def test_the_project_names_no_index_and_no_place_of_a_machine() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "*.md", "*.py", "*.toml", "*.txt", "Makefile", "*.yaml", "*.yml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    hosts = ("py" + "pi.org", "python" + "hosted.org", "download." + "pytorch.org")
    for name in listed.stdout.split():
        text = (ROOT / name).read_text()
        assert not [host for host in hosts if host in text], name
        assert not re.search(r"(?<![\w.])/(root|home/\w+)/", text), name
