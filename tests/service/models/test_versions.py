"""Which versions are loaded and unloaded, for what a scan found."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.models.store import Fingerprint, ModelVersion
from service.models.version_policy import Policy
from service.models.versions import VersionState, VersionStatus

A1, A2, A3, B1 = (
    ModelVersion("a", 1),
    ModelVersion("a", 2),
    ModelVersion("a", 3),
    ModelVersion("b", 1),
)


def fingerprint(number: int) -> Fingerprint:
    return (("file", number, 0, 0, 0),)


def disk(*keys: ModelVersion, **changed: int) -> dict[ModelVersion, Fingerprint]:
    """What a scan finds; ``a2=1`` is a/2 with changed files."""
    return {key: fingerprint(changed.get(f"{key.name}{key.version}", 0)) for key in keys}


class Server:
    """Does what VersionState says. Every load succeeds, except of the versions in ``bad``."""

    def __init__(self, policy: str = "all") -> None:
        self.versions = VersionState(Policy.parse(policy))
        self.bad: set[ModelVersion] = set()
        self.done: list[str] = []

    def scan(self, scanned: dict[ModelVersion, Fingerprint], *, at_once: bool = True) -> list[str]:
        """Record a scan and follow the decisions; what was done, in order."""
        self.done = []
        self.versions.update(scanned, at_once=at_once)
        while key := self.versions.next_load():
            if key in self.bad:
                self.versions.mark_refused(key, "bad")
                self.done.append(f"?{key}")
            else:
                self.versions.mark_served(key, "digest")
                self.done.append(f"+{key}")
        for key in self.versions.to_unload():
            self.versions.mark_unloaded(key)
            self.done.append(f"-{key}")
        return self.done

    def serving(self) -> set[ModelVersion]:
        statuses = self.versions.statuses()
        return {ModelVersion(e.name, e.version) for e in statuses if e.state == "serving"}

    def states(self) -> dict[str, str]:
        return {f"{e.name}/{e.version}": e.state for e in self.versions.statuses()}


def test_new_versions_are_loaded_and_removed_ones_are_unloaded() -> None:
    server = Server()
    assert server.scan(disk(A1, B1)) == ["+a/1", "+b/1"]
    assert server.scan(disk(A1, B1)) == []
    assert server.scan(disk(A1, A2, B1)) == ["+a/2"]
    assert server.scan(disk(A2)) == ["-a/1", "-b/1"]


def test_the_latest_is_loaded_before_the_former_is_unloaded() -> None:
    server = Server("latest")
    server.scan(disk(A1))
    assert server.scan(disk(A1, A2)) == ["+a/2", "-a/1"]
    assert server.states() == {"a/1": "unloaded", "a/2": "serving"}
    assert server.scan(disk(A1)) == ["+a/1", "-a/2"]


def test_the_former_version_serves_while_the_latest_is_refused() -> None:
    server = Server("latest")
    server.scan(disk(A1))
    server.bad = {A2}
    assert server.scan(disk(A1, A2)) == ["?a/2"]
    assert server.scan(disk(A1, A2)) == []
    assert server.versions.status(A2) == VersionStatus("a", 2, "refused", "bad")
    assert server.states()["a/1"] == "serving"
    server.bad.clear()
    assert server.scan(disk(A1, A2, a2=1)) == ["+a/2", "-a/1"]


def test_a_bundle_is_not_read_while_it_is_being_copied() -> None:
    server = Server()
    server.scan(disk(A1))
    assert server.scan(disk(A1, A2, a2=1), at_once=False) == []
    assert server.scan(disk(A1, A2, a2=2), at_once=False) == []
    assert server.scan(disk(A1, A2, a2=2), at_once=False) == ["+a/2"]


def test_changed_files_of_a_served_version_are_loaded_or_refused() -> None:
    server = Server("latest")
    server.scan(disk(A1, A2))
    assert server.scan(disk(A1, A2, a2=1), at_once=False) == []
    assert server.scan(disk(A1, A2, a2=1), at_once=False) == ["+a/2"]
    server.bad = {A2}
    assert server.scan(disk(A1, A2, a2=2)) == ["?a/2"]
    assert server.versions.status(A2) == VersionStatus("a", 2, "serving", "bad")
    server.bad.clear()
    assert server.scan(disk(A1, A2, a2=3)) == ["+a/2"]
    assert server.versions.status(A2) == VersionStatus("a", 2, "serving")


@pytest.mark.parametrize("policy", ["all", "latest", "a/1,a/2"])
def test_an_empty_disk_unloads_nothing(policy: str) -> None:
    server = Server(policy)
    loaded = server.scan(disk(A1, A2, B1))
    assert server.scan({}) == []
    serving = [name for name, state in server.states().items() if state == "serving"]
    assert [f"+{name}" for name in serving] == loaded


def test_an_override_precedes_the_policy_until_the_directory_is_gone() -> None:
    server = Server("latest")
    server.scan(disk(A1, A2))
    server.versions.override(A1, serve=True)
    assert server.scan(disk(A1, A2)) == ["+a/1"]
    server.versions.override(A2, serve=False)
    assert server.scan(disk(A1, A2)) == ["-a/2"]
    assert server.states() == {"a/1": "serving", "a/2": "unloaded"}
    assert server.scan(disk(A1, A2, a2=1)) == []
    server.scan(disk(A1))
    assert server.scan(disk(A1, A2)) == ["+a/2"]


def test_to_unload_the_latest_is_to_serve_the_version_before() -> None:
    server = Server("latest")
    server.scan(disk(A1, A2))
    server.versions.override(A2, serve=False)
    assert server.scan(disk(A1, A2)) == ["+a/1", "-a/2"]


def test_an_override_may_unload_the_last_version_and_load_a_refused_one_again() -> None:
    server = Server()
    server.scan(disk(A1))
    server.versions.override(A1, serve=False)
    assert server.scan(disk(A1)) == ["-a/1"]
    server.bad = {A1}
    server.versions.override(A1, serve=True)
    assert server.scan(disk(A1)) == ["?a/1"]
    server.bad.clear()
    server.versions.override(A1, serve=True)
    assert server.scan(disk(A1)) == ["+a/1"]


def test_an_override_of_a_missing_version_is_dropped() -> None:
    server = Server("latest")
    server.versions.override(A1, serve=True)
    server.scan(disk(A3))
    assert server.scan(disk(A1, A3)) == []


def test_a_listed_version_that_is_not_on_the_disk_is_missing() -> None:
    server = Server("a/1,a/3")
    assert server.scan(disk(A1, A2)) == ["+a/1"]
    assert server.versions.missing() == [A3]
    assert server.states() == {"a/1": "serving", "a/2": "unloaded"}


@given(
    policy=st.sampled_from(["all", "latest", "a/1,b/1"]),
    scans=st.lists(
        st.tuples(
            st.dictionaries(st.sampled_from([A1, A2, A3, B1]), st.integers(0, 2).map(fingerprint)),
            st.sets(st.sampled_from([A1, A2, A3, B1])),
        ),
        max_size=8,
    ),
)
def test_any_sequence_of_scans_keeps_serving_and_ends_with_what_the_policy_selects(
    policy: str, scans: list[tuple[dict[ModelVersion, Fingerprint], set[ModelVersion]]]
) -> None:
    server = Server(policy)
    for scanned, bad in scans:
        before = server.serving()
        server.bad = bad
        server.scan(scanned)
        assert server.serving() or not before
        assert server.serving() <= before | (scanned.keys() - bad)
        server.bad = set()
    final = disk(A1, A2, A3, B1, a1=7, a2=7, a3=7, b1=7)
    server.scan(final)
    assert server.serving() == Policy.parse(policy).select(final)
