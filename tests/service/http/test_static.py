"""The pages' files: complete, self-contained, and served so that they stay that."""

import asyncio
import re
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from service.routes.pages import DIRECTORY
from tests.fakes import call, fake_service

PAGES = {"index.html": "main.js", "docs.html": "docs.js"}  # each with its first module
FILES = sorted(DIRECTORY.iterdir())
MODULES = [file for file in FILES if file.suffix == ".js"]
NAMESPACE = "http://www.w3.org/2000/svg"  # a name, which nothing fetches


class Page(HTMLParser):
    """Collects what the page refers to and what it holds itself."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.inline: list[str] = []
        self.ids: list[str] = []
        self._open = ""
        self.feed((DIRECTORY / name).read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = tag
        for name, value in attrs:
            if name in ("src", "href", "action"):
                self.references.append(value or "")
            if name == "id":
                self.ids.append(value or "")
            if name == "style" or name.startswith("on"):
                self.inline.append(f"{tag} {name}")

    def handle_data(self, data: str) -> None:
        if self._open in ("script", "style") and data.strip():
            self.inline.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._open = ""


def imports(module: Path) -> list[str]:
    return re.findall(r'^import .* from "(.+)";$', module.read_text(), re.MULTILINE)


def get(models: Path, path: str, **settings: object) -> httpx.Response:
    async def ask() -> httpx.Response:
        service = fake_service(models, **settings)
        try:
            return await call(service.app, "GET", path)
        finally:
            await service.model.close()

    return asyncio.run(ask())


@pytest.mark.parametrize("name", PAGES)
def test_what_the_page_refers_to_exists(name: str) -> None:
    page = Page(name)
    files = [name for name in page.references if name.startswith("static/")]
    assert {f"static/{PAGES[name]}", "static/style.css", "static/icon.svg"} <= set(files)
    assert [name for name in files if not (DIRECTORY.parent / name).is_file()] == []
    rest = {target for target in page.references if not target.startswith(("static/", "#"))}
    assert rest <= {".", "docs", "openapi.json"}
    assert {f"#{name}" for name in page.ids} >= {t for t in page.references if t[0] == "#"}


def test_every_module_is_reached_from_a_page_and_each_import_exists() -> None:
    reached, ahead = set(), list(PAGES.values())
    while ahead:
        name = ahead.pop()
        reached.add(name)
        named = imports(DIRECTORY / name)
        assert all(target.startswith("./") for target in named)
        ahead += {target[2:] for target in named} - reached
    assert reached == {module.name for module in MODULES}


@pytest.mark.parametrize("name", PAGES)
def test_every_element_that_the_script_looks_up_is_in_the_page(name: str) -> None:
    wanted = re.findall(r'find\("([^"]+)"\)', (DIRECTORY / PAGES[name]).read_text())
    assert wanted
    assert set(wanted) <= set(Page(name).ids)


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_inline(name: str) -> None:
    assert Page(name).inline == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_file_leads_elsewhere(file: Path) -> None:
    text = file.read_text().replace(NAMESPACE, "")
    assert re.findall(r"https?:|[\"'(]//|@import|url\(", text) == []


@pytest.mark.parametrize("file", MODULES, ids=lambda file: file.name)
def test_no_module_builds_markup_or_code_from_text(file: Path) -> None:
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function"
    assert re.findall(forbidden, file.read_text()) == []


@pytest.mark.parametrize(
    ("path", "file"),
    [
        ("/", "index.html"),
        ("/docs", "docs.html"),
        *((f"/static/{name}", name) for name in ("main.js", "style.css", "icon.svg")),
    ],
)
def test_files_are_open_fresh_and_fenced_in(path: str, file: str, tmp_path: Path) -> None:
    response = get(tmp_path, path, api_keys=(SecretStr("key"),))
    assert response.status_code == 200
    assert response.content == (DIRECTORY / file).read_bytes()
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["referrer-policy"] == "no-referrer"
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("path", ["/static/nope.js", "/static/../app.py", "/static/%2e%2e/app.py"])
def test_nothing_else_is_served(path: str, tmp_path: Path) -> None:
    response = get(tmp_path, path)
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
