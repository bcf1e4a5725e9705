import subprocess
import sys

from service.environment import service_links
from tests.servers import ROOT


def test_variables_of_kubernetes_are_told_from_settings() -> None:
    variables = {
        "VAE_PORT": "tcp://10.0.0.1:80",
        "VAE_PORT_80_TCP": "tcp://10.0.0.1:80",
        "VAE_HOST": "0.0.0.0",
        "VAE_OTLP_ENDPOINT": "http://collector:4318",
        "OTHER_PORT": "tcp://10.0.0.2:80",
    }
    assert service_links(variables) == ["VAE_PORT", "VAE_PORT_80_TCP"]


def test_standard_streams_that_are_closed_are_opened_before_any_socket() -> None:
    program = (
        "import os, socket; from service.environment import open_standard_streams as o; o();"
        "os._exit(0 if socket.socket().fileno() > 2 else 1)"
    )
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&- >&-', "sh", sys.executable, "-c", program],
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0
