"""``python requirements.py EXTRA...`` prints the requirements in pyproject.toml, one per line.

The Dockerfile installs them before it copies the source, so that a change of the source does not
install the packages again.
"""

import sys
import tomllib
from pathlib import Path


def requirements(pyproject: str, *extras: str) -> list[str]:
    """The requirements of the project and of the named extras, in the order of the file.

    Raises KeyError for an extra that the project does not have.
    """
    project = tomllib.loads(pyproject)["project"]
    optional = project["optional-dependencies"]
    return [*project["dependencies"], *(line for extra in extras for line in optional[extra])]


if __name__ == "__main__":
    print("\n".join(requirements(Path("pyproject.toml").read_text(), *sys.argv[1:])))  # noqa: T201
