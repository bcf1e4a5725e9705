"""``python -m deploy.image.sbom ROOT NAME VERSION``: what is in an image, as CycloneDX 1.6 JSON.

Lists Python itself, its distributions and the Debian packages that are installed below ROOT, as
their own records have them. Libraries that a distribution brings inside of it (OpenBLAS in numpy)
are not listed by themselves. The same tree gives the same bytes.
"""

import json
import platform
import re
import sys
import uuid
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any
from urllib.parse import quote

Component = dict[str, Any]


def document(name: str, version: str, components: Iterable[Component]) -> dict[str, Any]:
    """The whole document of an image and its components, ordered by their package URLs."""
    ordered = sorted(components, key=lambda component: component["purl"])
    contents = json.dumps([name, version, ordered])
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, contents)}",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": name, "version": version}},
        "components": ordered,
    }


def components(root: Path) -> Iterator[Component]:
    """Everything that is installed below a root directory."""
    version = platform.python_version()
    yield _component("python", version, f"pkg:generic/python@{version}", "PSF-2.0")
    for distribution in distributions(
        path=list(map(str, root.glob("usr/local/lib/python3*/site-packages")))
    ):
        yield of_distribution(distribution)
    for record in _debian_records(root):
        if "installed" in record.get("Status", ""):
            yield of_debian(record)


def of_distribution(distribution: Distribution) -> Component:
    """A distribution of Python, with its licence where that is said in SPDX."""
    name = re.sub(r"[-_.]+", "-", distribution.name).lower()
    purl = f"pkg:pypi/{name}@{distribution.version}"
    licence = distribution.metadata.get("License-Expression")  # type: ignore[attr-defined]
    return _component(distribution.name, distribution.version, purl, licence)


def of_debian(record: dict[str, str]) -> Component:
    """A package of Debian, from the fields of its record."""
    name, version = record["Package"], record["Version"]
    purl = f"pkg:deb/debian/{name}@{quote(version)}?arch={record['Architecture']}"
    return _component(name, version, purl, None)


def _component(name: str, version: str, purl: str, licence: str | None) -> Component:
    component = {"type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl}
    return component | ({"licenses": [{"expression": licence}]} if licence else {})


def _debian_records(root: Path) -> Iterator[dict[str, str]]:
    """dpkg's one file, or the folder of them that images without dpkg have."""
    dpkg = root / "var/lib/dpkg"
    for file in (dpkg / "status", *dpkg.glob("status.d/*")):
        if file.is_file():
            for record in file.read_text().split("\n\n"):
                yield dict(re.findall(r"^([\w-]+): (.*)$", record, re.MULTILINE))


if __name__ == "__main__":
    root, name, version = sys.argv[1:]
    json.dump(document(name, version, components(Path(root))), sys.stdout, indent=1)
