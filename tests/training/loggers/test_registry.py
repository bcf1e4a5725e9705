"""Names become loggers, or an error that says what to install."""

import sys
from typing import get_args

import pytest

from training.config.train_config import TrainConfig
from training.config.types import LoggerName
from training.errors import ConfigError
from training.loggers.registry import LOGGERS, load_loggers


def test_every_name_has_a_logger() -> None:
    assert set(LOGGERS) == set(get_args(LoggerName))
    assert load_loggers([]) == []


@pytest.mark.parametrize("name", LOGGERS)
def test_a_missing_package_is_named_with_its_extra(
    name: LoggerName, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, f"training.loggers.{name}", raising=False)
    for module in [each for each in sys.modules if each.split(".")[0] == name]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=rf"{name} .*pip install 'vae-server\[{name}\]'"):
        load_loggers([name])


def test_names_come_separated_by_commas() -> None:
    assert TrainConfig(data="digits", log="tensorboard,mlflow").log == ("tensorboard", "mlflow")  # type: ignore[arg-type]
