"""What the path of a request to a verb names."""

import re
from functools import lru_cache
from typing import Final, NamedTuple

from service.errors import UnknownModel
from service.models.verbs import VERBS, Verb

BY_NAME: Final = {verb.name: verb for verb in VERBS}
VERSION: Final = re.compile("[1-9][0-9]{0,8}")
PATH: Final = re.compile(
    rf"(?:/models/([A-Za-z0-9._-]+)(?:/versions/({VERSION.pattern}))?)?/({'|'.join(BY_NAME)})"
)


class Target(NamedTuple):
    """A verb and a model. Without a name it is the default model, without a version the latest."""

    verb: Verb
    name: str | None = None
    version: int | None = None


@lru_cache(maxsize=256)
def target_of(path: bytes) -> Target | None:
    """The target that a path names, or None if the path is not one of a verb."""
    if (found := PATH.fullmatch(path.decode("latin-1"))) is None:
        return None
    name, version, verb = found.groups()
    return Target(BY_NAME[verb], name, int(version) if version else None)


def unknown_target(name: str | None, version: str | None) -> UnknownModel:
    """The error for a name or version, parts of a path, that no model can have."""
    if version is not None and not VERSION.fullmatch(version):
        return UnknownModel(
            "this is not a version", expected="a whole number from 1", given=version
        )
    return UnknownModel("this model is not served", given=name)
