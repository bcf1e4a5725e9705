"""The versions's decisions: what is loaded and unloaded, by what lies on the disk."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.models.store import ModelVersion, Stamp
from service.models.version_policy import Policy
from service.models.versions import VersionState, VersionStatus

A1, A2, A3, B1 = (
    ModelVersion("a", 1),
    ModelVersion("a", 2),
    ModelVersion("a", 3),
    ModelVersion("b", 1),
)


def stamp(number: int) -> Stamp:
    return (("file", number, 0, 0, 0),)


def disk(*keys: ModelVersion, **changed: int) -> dict[ModelVersion, Stamp]:
    """What a scan finds; ``a2=1`` is a/2 with changed files."""
    return {key: stamp(changed.get(f"{key.name}{key.version}", 0)) for key in keys}


class Place:
    """A versions that is followed; every load goes well but of ``bad`` keys."""

    def __init__(self, policy: str = "all") -> None:
        self.versions = VersionState(Policy.parse(policy))
        self.bad: set[ModelVersion] = set()
        self.done: list[str] = []

    def see(self, seen: dict[ModelVersion, Stamp], *, at_once: bool = True) -> list[str]:
        """What was done about it."""
        self.done = []
        self.versions.see(seen, at_once=at_once)
        while key := self.versions.next_load():
            if key in self.bad:
                self.versions.refuse(key, "bad")
                self.done.append(f"?{key}")
            else:
                self.versions.serve(key, "digest")
                self.done.append(f"+{key}")
        for key in self.versions.unloads():
            self.versions.unload(key)
            self.done.append(f"-{key}")
        return self.done

    def serving(self) -> set[ModelVersion]:
        entries = self.versions.entries()
        return {ModelVersion(e.name, e.version) for e in entries if e.state == "serving"}

    def states(self) -> dict[str, str]:
        return {f"{e.name}/{e.version}": e.state for e in self.versions.entries()}


def test_new_versions_are_loaded_and_those_that_went_are_unloaded() -> None:
    place = Place()
    assert place.see(disk(A1, B1)) == ["+a/1", "+b/1"]
    assert place.see(disk(A1, B1)) == []
    assert place.see(disk(A1, A2, B1)) == ["+a/2"]
    assert place.see(disk(A2)) == ["-a/1", "-b/1"]


def test_the_latest_is_loaded_before_the_former_is_let_go() -> None:
    place = Place("latest")
    place.see(disk(A1))
    assert place.see(disk(A1, A2)) == ["+a/2", "-a/1"]
    assert place.states() == {"a/1": "unloaded", "a/2": "serving"}
    assert place.see(disk(A1)) == ["+a/1", "-a/2"]


def test_a_bad_latest_lets_the_former_serve_until_its_files_change() -> None:
    place = Place("latest")
    place.see(disk(A1))
    place.bad = {A2}
    assert place.see(disk(A1, A2)) == ["?a/2"]
    assert place.see(disk(A1, A2)) == []
    assert place.versions.entry(A2) == VersionStatus("a", 2, "refused", "bad")
    assert place.states()["a/1"] == "serving"
    place.bad.clear()
    assert place.see(disk(A1, A2, a2=1)) == ["+a/2", "-a/1"]


def test_a_bundle_that_is_being_copied_is_left_until_it_has_settled() -> None:
    place = Place()
    place.see(disk(A1))
    assert place.see(disk(A1, A2, a2=1), at_once=False) == []
    assert place.see(disk(A1, A2, a2=2), at_once=False) == []
    assert place.see(disk(A1, A2, a2=2), at_once=False) == ["+a/2"]


def test_changed_files_of_a_version_that_serves_are_loaded_or_refused_while_it_serves() -> None:
    place = Place("latest")
    place.see(disk(A1, A2))
    assert place.see(disk(A1, A2, a2=1), at_once=False) == []
    assert place.see(disk(A1, A2, a2=1), at_once=False) == ["+a/2"]
    place.bad = {A2}
    assert place.see(disk(A1, A2, a2=2)) == ["?a/2"]
    assert place.versions.entry(A2) == VersionStatus("a", 2, "serving", "bad")
    place.bad.clear()
    assert place.see(disk(A1, A2, a2=3)) == ["+a/2"]
    assert place.versions.entry(A2) == VersionStatus("a", 2, "serving")


@pytest.mark.parametrize("policy", ["all", "latest", "a/1,a/2"])
def test_an_empty_disk_unloads_nothing(policy: str) -> None:
    place = Place(policy)
    loaded = place.see(disk(A1, A2, B1))
    assert place.see({}) == []
    serving = [name for name, state in place.states().items() if state == "serving"]
    assert [f"+{name}" for name in serving] == loaded


def test_a_wish_goes_before_the_policy_until_the_directory_is_gone() -> None:
    place = Place("latest")
    place.see(disk(A1, A2))
    place.versions.wish(A1, serve=True)
    assert place.see(disk(A1, A2)) == ["+a/1"]
    place.versions.wish(A2, serve=False)
    assert place.see(disk(A1, A2)) == ["-a/2"]
    assert place.states() == {"a/1": "serving", "a/2": "unloaded"}
    assert place.see(disk(A1, A2, a2=1)) == []
    place.see(disk(A1))
    assert place.see(disk(A1, A2)) == ["+a/2"]


def test_a_wish_to_unload_goes_back_to_the_version_before() -> None:
    place = Place("latest")
    place.see(disk(A1, A2))
    place.versions.wish(A2, serve=False)
    assert place.see(disk(A1, A2)) == ["+a/1", "-a/2"]


def test_a_wish_may_unload_the_last_and_load_again_what_was_refused() -> None:
    place = Place()
    place.see(disk(A1))
    place.versions.wish(A1, serve=False)
    assert place.see(disk(A1)) == ["-a/1"]
    place.bad = {A1}
    place.versions.wish(A1, serve=True)
    assert place.see(disk(A1)) == ["?a/1"]
    place.bad.clear()
    place.versions.wish(A1, serve=True)
    assert place.see(disk(A1)) == ["+a/1"]


def test_a_wish_for_what_is_not_there_is_forgotten() -> None:
    place = Place("latest")
    place.versions.wish(A1, serve=True)
    place.see(disk(A3))
    assert place.see(disk(A1, A3)) == []


def test_what_a_list_names_and_the_disk_lacks_is_missing() -> None:
    place = Place("a/1,a/3")
    assert place.see(disk(A1, A2)) == ["+a/1"]
    assert place.versions.missing() == [A3]
    assert place.states() == {"a/1": "serving", "a/2": "unloaded"}


@given(
    policy=st.sampled_from(["all", "latest", "a/1,b/1"]),
    looks=st.lists(
        st.tuples(
            st.dictionaries(st.sampled_from([A1, A2, A3, B1]), st.integers(0, 2).map(stamp)),
            st.sets(st.sampled_from([A1, A2, A3, B1])),
        ),
        max_size=8,
    ),
)
def test_whatever_happens_something_serves_and_in_the_end_what_is_wanted(
    policy: str, looks: list[tuple[dict[ModelVersion, Stamp], set[ModelVersion]]]
) -> None:
    place = Place(policy)
    for seen, bad in looks:
        before = place.serving()
        place.bad = bad
        place.see(seen)
        assert place.serving() or not before
        assert place.serving() <= before | (seen.keys() - bad)
        place.bad = set()
    final = disk(A1, A2, A3, B1, a1=7, a2=7, a3=7, b1=7)
    place.see(final)
    assert place.serving() == Policy.parse(policy).choose(final)
