from pathlib import Path

from pydantic import SecretStr

from service.settings import Settings
from service.workers.bundle_copies import BundleCopy
from service.workers.config import WorkerConfig


def test_a_configuration_arrives_as_it_was_sent_with_its_secrets(tmp_path: Path) -> None:
    settings = Settings(
        models=tmp_path / "a name with spaces", api_keys=(SecretStr("k-ключ"),), workers=3
    )
    config = WorkerConfig(
        slot=2,
        listeners=(5, 7),
        bundles=(
            BundleCopy("copies/1", ("manifest.json",), "a name/1", "00"),
            BundleCopy("copies/2", (), "other/1", "ff"),
        ),
        private=tmp_path,
        settings=settings,
    )
    line = config.to_line()
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert WorkerConfig.from_line(line) == config
