"""The manifests for Kubernetes: valid, closed, and in step with the service's settings.

Schemas are checked where ``kustomize`` or ``kubectl`` is installed and so is kubernetes-validate.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.http.middleware import OPEN_PATHS
from service.settings import Settings, unknown_variables
from tests.servers import ROOT

KUBERNETES = ROOT / "deploy/kubernetes"
BUILT = ("base", "overlays/demo", "overlays/production", "kserve")
FOREIGN = ("ServingRuntime", "InferenceService")  # their schemas are in no package
COMPONENTS = sorted(path.name for path in (KUBERNETES / "components").iterdir())
KUSTOMIZE = {"kustomize": ["build"], "kubectl": ["kustomize"]}

Manifest = dict[str, Any]


def manifests(text: str) -> list[Manifest]:
    return [each for each in yaml.safe_load_all(text) if each]


def written() -> Iterator[tuple[str, Manifest]]:
    """Every manifest as it stands in a file."""
    for path in sorted(KUBERNETES.rglob("*.yaml")):
        for manifest in manifests(path.read_text()):
            yield str(path.relative_to(KUBERNETES)), manifest


def built(folder: Path) -> list[Manifest]:
    """What kustomize makes of a folder."""
    for program, arguments in KUSTOMIZE.items():
        if shutil.which(program):
            done = subprocess.run(
                [program, *arguments, folder], capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            return manifests(done.stdout)
    pytest.skip("needs kustomize or kubectl")


def one(kind: str, among: list[Manifest]) -> Manifest:
    (found,) = (manifest for manifest in among if manifest["kind"] == kind)
    return found


def containers() -> Iterator[tuple[str, Manifest]]:
    """Every container that is written down whole, which a patch does not."""
    for place, manifest in written():
        spec = manifest.get("spec", {})
        pod = spec.get("template", {}).get("spec", spec)
        for container in (*pod.get("containers", ()), *pod.get("initContainers", ())):
            if "image" in container:
                yield place, container


def settings_of(text: str) -> dict[str, str]:
    """The variables of a text, as ``NAME=value`` or as name and value."""
    return dict(re.findall(r"\b(VAE_\w+)(?:=|, value: )\"?([^\"\s}]+)", text))


BASE = KUBERNETES / "base"
POD = yaml.safe_load((BASE / "deployment.yaml").read_text())["spec"]["template"]["spec"]


def test_every_variable_is_a_setting_with_a_value_that_it_takes() -> None:
    texts = [path.read_text() for path in KUBERNETES.rglob("*.yaml")]
    named = {name for text in texts for name in re.findall(r"\bVAE_[A-Z_]+[A-Z]\b", text)}
    assert named
    assert unknown_variables(named) == []
    for text in texts:
        values = {name[4:].lower(): value for name, value in settings_of(text).items()}
        Settings(**values)  # type: ignore[arg-type]


def test_every_container_is_closed() -> None:
    places = set()
    for place, container in containers():
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True, place
        assert context["allowPrivilegeEscalation"] is False, place
        assert context["capabilities"] == {"drop": ["ALL"]}, place
        assert container["resources"]["limits"]["memory"], place
        places.add(place)
    assert len(places) == 3


def test_the_pod_is_restricted() -> None:
    """By the profile "restricted" of the Pod Security Standards."""
    assert POD["securityContext"]["runAsNonRoot"] is True
    assert POD["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert POD["automountServiceAccountToken"] is False


def test_a_pod_is_given_the_time_that_the_service_takes_to_leave() -> None:
    values = settings_of((BASE / "kustomization.yaml").read_text())
    leaving = float(values["VAE_NOTICE_SECONDS"]) + float(values["VAE_DRAIN_SECONDS"])
    assert POD["terminationGracePeriodSeconds"] >= leaving + 5
    (container,) = POD["containers"]
    ready = container["readinessProbe"]
    unready_after = ready["periodSeconds"] * ready["failureThreshold"]
    assert unready_after < float(values["VAE_NOTICE_SECONDS"])


def test_probes_ask_what_the_service_answers() -> None:
    for place, container in containers():
        for name in container.keys() & {"startupProbe", "readinessProbe", "livenessProbe"}:
            assert container[name]["httpGet"]["path"] in OPEN_PATHS, place


def test_everything_selects_the_pods_of_the_service() -> None:
    among = built(BASE)
    labels = one("Deployment", among)["spec"]["template"]["metadata"]["labels"]
    assert labels == {"app.kubernetes.io/name": "vae-server"}
    assert one("Deployment", among)["spec"]["selector"]["matchLabels"] == labels
    assert one("Service", among)["spec"]["selector"] == labels
    assert one("PodDisruptionBudget", among)["spec"]["selector"]["matchLabels"] == labels
    assert one("NetworkPolicy", among)["spec"]["podSelector"]["matchLabels"] == labels


def test_nothing_is_let_out() -> None:
    policy = yaml.safe_load((BASE / "network.yaml").read_text())["spec"]
    assert "Egress" in policy["policyTypes"]
    assert policy["egress"] == []


def test_the_autoscaler_decides_how_many_there_are() -> None:
    among = built(KUBERNETES / "overlays/production")
    assert "replicas" not in one("Deployment", among)["spec"]
    target = one("HorizontalPodAutoscaler", among)["spec"]["scaleTargetRef"]
    assert target["name"] == one("Deployment", among)["metadata"]["name"]


def test_no_secret_is_written_down() -> None:
    assert [place for place, manifest in written() if manifest["kind"] == "Secret"] == []


@pytest.mark.parametrize("name", COMPONENTS)
def test_every_component_fits_the_base(name: str, tmp_path: Path) -> None:
    shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    overlay = tmp_path / "kubernetes/overlays/one"
    overlay.mkdir()
    fields = {"resources": ["../../base"], "components": [f"../../components/{name}"]}
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(fields))
    assert one("Deployment", built(overlay))


@pytest.mark.parametrize("folder", BUILT)
def test_the_schemas_of_kubernetes_are_kept(folder: str) -> None:
    validate = pytest.importorskip("kubernetes_validate").validate
    for manifest in built(KUBERNETES / folder):
        if manifest["kind"] not in FOREIGN:
            validate(manifest, "1.37", strict=True)
