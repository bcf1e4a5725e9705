import pytest

from service.models.store import ModelVersion
from service.models.version_policy import Policy

VERSIONS = [ModelVersion("a", 1), ModelVersion("a", 2), ModelVersion("a", 10), ModelVersion("b", 1)]


def selected(text: str) -> list[str]:
    return sorted(map(str, Policy.parse(text).select(VERSIONS)))


def test_latest_is_the_highest_number_of_each_model() -> None:
    assert selected("all") == ["a/1", "a/10", "a/2", "b/1"]
    assert selected("latest") == ["a/10", "b/1"]


def test_a_list_selects_its_versions_alone() -> None:
    assert selected("a/2, b/1,c/7") == ["a/2", "b/1"]


@pytest.mark.parametrize("text", ["", "newest", "a", "a/0", "a/1,", "a/x", "a/1,latest", "../a/1"])
def test_an_invalid_policy_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="digits/3"):
        Policy.parse(text)
