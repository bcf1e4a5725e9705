"""What a path asks for, in both lanes."""

import pytest

from service.errors import UnknownModel
from service.http.target import BY_NAME, Target, target_of

ENCODE = BY_NAME["encode"]


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        (b"/encode", (None, None)),
        (b"/models/faces/encode", ("faces", None)),
        (b"/models/faces/versions/12/encode", ("faces", "12")),
    ],
)
def test_a_path_and_its_parts_ask_for_the_same(
    path: bytes, parts: tuple[str | None, str | None]
) -> None:
    assert target_of(path) == Target.of(ENCODE, *parts)


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
    with pytest.raises(UnknownModel, match="not a version") as refused:
        Target.of(ENCODE, "faces", version)
    assert refused.value.given == version
