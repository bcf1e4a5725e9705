"""What a verb's path asks for."""

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
    """A verb and who is to do it; no name is the default model, no version the latest."""

    verb: Verb
    name: str | None = None
    version: int | None = None

    @classmethod
    def of(cls, verb: Verb, name: str | None, version: str | None) -> "Target":
        """From the parts of a path. Raises UnknownModel for a version that is none."""
        if version is None:
            return cls(verb, name)
        if not VERSION.fullmatch(version):
            raise UnknownModel(
                "this is not a version", expected="a whole number from 1", given=version
            )
        return cls(verb, name, int(version))


@lru_cache(maxsize=256)
def target_of(path: bytes) -> Target | None:
    """From a path as it came. None for what is no verb's, and for unusual spellings."""
    if (found := PATH.fullmatch(path.decode("latin-1"))) is None:
        return None
    name, version, verb = found.groups()
    return Target.of(BY_NAME[verb], name, version)
