"""The compose file: closed containers, and the demo that make demo trains."""

import re
from typing import Any

import yaml

from service.settings import Settings
from tests.servers import ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def test_every_container_is_closed() -> None:
    for name, service in SERVICES.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["mem_limit"], name
        assert not service.get("privileged"), name


def test_ports_are_open_on_this_machine_alone() -> None:
    for name, service in SERVICES.items():
        for port in service.get("ports", []):
            assert re.match(r"(\$\{VAE_PORTS:-)?127\.0\.0\.1:", port), name


def test_images_of_others_are_pinned() -> None:
    for name, service in SERVICES.items():
        if "build" not in service:
            assert re.search(r":v?\d+\.\d+\.\d+$", service["image"]), name


def test_the_trainer_trains_what_make_demo_trains() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (recipe,) = re.findall(r"-m training train (--data digits .*)", makefile)
    command = " ".join(SERVICES["trainer"]["command"])
    for option in re.findall(r"(--\S+ [^-\s]\S*)", recipe):
        if not option.startswith(("--run", "--models")):  # places of their own
            assert option in command


def test_a_container_is_stopped_no_sooner_than_the_service_has_drained() -> None:
    seconds = int(SERVICES["service"]["stop_grace_period"].removesuffix("s"))
    fields = Settings.model_fields
    assert seconds > fields["notice_seconds"].default + fields["drain_seconds"].default
