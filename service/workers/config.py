"""What the supervisor sends to a worker at its start, as one line of JSON."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from service.settings import Settings
from service.workers.bundle_copies import BundleCopy


@dataclass(frozen=True)
class WorkerConfig:
    """What a worker serves, where it listens, and which of the workers it is.

    ``slot`` is its number among the workers, ``listeners`` are inherited file descriptors,
    ``bundles`` are copies of verified bundles, and ``private`` is the supervisor's directory.
    """

    slot: int
    listeners: tuple[int, ...]
    bundles: tuple[BundleCopy, ...]
    private: Path
    settings: Settings

    @property
    def metrics(self) -> Path:
        """The directory with the metrics of all workers."""
        return self.private / "metrics"

    def to_line(self) -> bytes:
        """One line of JSON, including the secrets of the settings."""
        fields = {
            **vars(self),
            "bundles": [copy.to_json() for copy in self.bundles],
            "settings": self.settings.model_dump(),
        }
        return json.dumps(fields, default=_plain).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> "WorkerConfig":
        """What ``to_line`` wrote."""
        fields = json.loads(line)
        return cls(
            slot=fields["slot"],
            listeners=tuple(fields["listeners"]),
            bundles=tuple(BundleCopy.from_json(copy) for copy in fields["bundles"]),
            private=Path(fields["private"]),
            settings=Settings(**fields["settings"]),
        )


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"This is a bug. A setting of type {type(value).__name__} cannot be sent.")
