"""Tests that hurt a server for minutes; they run only when asked for, with ``-m chaos``.

Each prints its figures: ``make test-chaos``.
"""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak-requests", default=100_000, help="of test_soak.py")
    parser.addoption("--soak-picture", help="file for the curve of its memory")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "chaos: takes minutes")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "chaos" in config.option.markexpr:
        return
    for item in items:
        if item.get_closest_marker("chaos"):
            item.add_marker(pytest.mark.skip(reason="run with -m chaos"))
