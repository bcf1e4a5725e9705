"""Tests that hurt a server for minutes. Each prints its figures: ``make test-chaos``."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak-requests", default=100_000, help="of test_soak.py")
    parser.addoption("--soak-picture", help="file for the curve of its memory")
