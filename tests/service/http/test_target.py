"""What the path of a request names."""

import pytest

from service.http.target import BY_NAME, Target, target_of, unknown_target

ENCODE = BY_NAME["encode"]


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        (b"/encode", (None, None)),
        (b"/models/faces/encode", ("faces", None)),
        (b"/models/faces/versions/12/encode", ("faces", 12)),
    ],
)
def test_a_path_names_a_verb_a_model_and_a_version(
    path: bytes, parts: tuple[str | None, int | None]
) -> None:
    assert target_of(path) == Target(ENCODE, *parts)


@pytest.mark.parametrize("verb", BY_NAME)
def test_every_verb_has_a_path(verb: str) -> None:
    assert target_of(f"/{verb}".encode()) == Target(BY_NAME[verb])


@pytest.mark.parametrize(
    "path",
    [
        *(b"/", b"/encode/", b"//encode", b"/Encode", b"/encode\n", b"/models/encode"),
        *(b"/models/f%61ces/encode", b"/models/faces/versions/01/encode", b"/models/\xe9/encode"),
    ],
)
def test_other_paths_and_unusual_spellings_are_nothing(path: bytes) -> None:
    assert target_of(path) is None


@pytest.mark.parametrize("version", ["0", "01", "-1", "1.0", "x", "", "1000000000", "١"])
def test_what_is_no_version_is_refused_by_name(version: str) -> None:
    error = unknown_target("faces", version)
    assert "not a version" in error.detail
    assert error.given == version
