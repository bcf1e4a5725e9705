"""``python -m deploy.image.requirements EXTRA...``: what pyproject.toml asks for, one a line.

An image installs this before the source is copied, so that a change of ours costs no new download.
"""

import sys
import tomllib
from pathlib import Path


def requirements(pyproject: str, *extras: str) -> list[str]:
    """The requirements of the project and of some of its extras.

    Raises KeyError for an extra that is none.
    """
    project = tomllib.loads(pyproject)["project"]
    optional = project["optional-dependencies"]
    return [*project["dependencies"], *(line for extra in extras for line in optional[extra])]


if __name__ == "__main__":
    print("\n".join(requirements(Path("pyproject.toml").read_text(), *sys.argv[1:])))  # noqa: T201
