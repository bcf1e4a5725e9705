import stat
from hashlib import sha256
from pathlib import Path

import pytest

from service.keys import KeysUnusable, digest, read

HASHED = f"sha256:{sha256(b'k-one').hexdigest()}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def test_a_file_has_one_key_a_line(file: Path) -> None:
    file.write_text(f"# of the team\n{HASHED}\n\n  k-two  \n")
    assert [key.get_secret_value() for key in read(file)] == [HASHED, "k-two"]
    assert read(None) == ()


def test_a_key_and_its_digest_are_the_same() -> None:
    assert digest("k-one") == digest(HASHED) == digest(HASHED.upper().replace("SHA", "sha"))
    assert digest("sha256:") == sha256(b"sha256:").digest()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds none"),
        ("# nothing\n\n", "holds none"),
        ("k-one\nsha256:secret\n", "line 2: expected 64 hexadecimal digits"),
    ],
)
def test_a_file_that_would_not_close_the_service_is_refused(
    file: Path, text: str, says: str
) -> None:
    file.write_text(text)
    with pytest.raises(KeysUnusable, match=says) as caught:
        read(file)
    assert str(file) in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(file: Path) -> None:
    for make in (lambda: None, lambda: file.write_bytes(b"\xff\xfe"), _as_folder(file)):
        make()
        with pytest.raises(KeysUnusable, match="cannot be read"):
            read(file)


def _as_folder(file: Path):  # type: ignore[no-untyped-def]
    def make() -> None:
        file.unlink()
        file.mkdir(stat.S_IRWXU)

    return make
