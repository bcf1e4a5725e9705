import pytest

from service.models.store import ModelVersion
from service.models.version_policy import Policy

KEYS = [ModelVersion("a", 1), ModelVersion("a", 2), ModelVersion("a", 10), ModelVersion("b", 1)]


def chosen(text: str) -> list[str]:
    return sorted(map(str, Policy.parse(text).choose(KEYS)))


def test_all_are_all_and_latest_is_the_highest_number_of_each_model() -> None:
    assert chosen("all") == ["a/1", "a/10", "a/2", "b/1"]
    assert chosen("latest") == ["a/10", "b/1"]


def test_a_list_is_those_and_no_others() -> None:
    assert chosen("a/2, b/1,c/7") == ["a/2", "b/1"]


@pytest.mark.parametrize("text", ["", "newest", "a", "a/0", "a/1,", "a/x", "a/1,latest", "../a/1"])
def test_what_is_no_policy_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="digits/3"):
        Policy.parse(text)
