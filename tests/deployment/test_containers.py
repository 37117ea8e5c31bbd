"""
Tests of the Dockerfile, etc/compose/ and etc/kubernetes/: what can be said of them without an engine or a cluster.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.keys import leaves
from itsjustintv.config.load import load
from tests.deployment.dockerfile import Image, image
from tests.documents import ROOT, asked_from_outside
from tests.functional.stage import tool

DOCKERFILE = ROOT / "Dockerfile"
COMPOSE = sorted((ROOT / "etc" / "compose").glob("*.yaml"))
KUBERNETES = ROOT / "etc" / "kubernetes" / "itsjustintv.yaml"


def built() -> Image:
    """
    What the Dockerfile says of the container.
    """
    return image(DOCKERFILE.read_text(encoding="utf-8"), Path("files"), "/usr/local", {})


def every(node: Any, key: str) -> Iterator[Any]:
    """
    Find every value of a key, wherever it is.
    """
    if isinstance(node, dict):
        for name, value in node.items():
            if name == key:
                yield value
            yield from every(value, key)
    elif isinstance(node, list):
        for each in node:
            yield from every(each, key)


class DockerfileTests(SynchronousTestCase):
    """
    The image.
    """

    def test_a_linter_has_nothing_to_say(self) -> None:
        """
        Hadolint finds nothing in it.
        """
        command = [tool("hadolint"), str(DOCKERFILE)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual((ended.returncode, ended.stdout), (0, ""))

    def test_what_it_says_of_itself(self) -> None:
        """
        It has a user without a name of this machine, one volume, a check of health that needs no other program, and
        labels.
        """
        container = built()
        self.assertEqual(container.user, "10001:0")
        self.assertEqual(container.volumes, ["/data"])
        self.assertEqual(container.health[0], container.entrypoint[0])
        self.assertIn("org.opencontainers.image.licenses", container.labels)


class ComposeTests(SynchronousTestCase):
    """
    The files for docker compose.
    """

    def test_the_schema(self) -> None:
        """
        Each is what the Compose Specification allows.
        """
        command = [tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", *map(str, COMPOSE)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(ended.returncode, 0, ended.stdout)

    def test_the_daemon(self) -> None:
        """
        It has no rights, a read-only root, a volume where the image has one, the time to stop, and variables and files
        that exist.
        """
        known = {leaf.variable for leaf in leaves()}
        for path in COMPOSE:
            file = yaml.safe_load(path.read_text(encoding="utf-8"))
            daemon = file["services"]["itsjustintv"]
            self.assertTrue(daemon["read_only"], path)
            self.assertEqual((daemon["cap_drop"], daemon["stop_grace_period"]), (["ALL"], "30s"), path)
            self.assertIn(f"data:{built().volumes[0]}", daemon["volumes"], path)
            self.assertLessEqual(daemon["environment"].keys(), known, path)
            self.assertEqual(daemon["user"], "${DAEMON_UID:-10001}:0", path)
            ports = daemon.get("ports", [])
            # Without a callback nothing is published at all.
            admin = [] if path.stem == "conduit" else ["127.0.0.1:8081:8081"]
            self.assertEqual([each for each in ports if "8081" in each], admin, path)
            self.assertTrue(ports or path.stem == "conduit", path)
            secrets = {value.removeprefix("/run/secrets/") for value in daemon["environment"].values()}
            self.assertEqual(secrets, set(file["secrets"]), path)


class KubernetesTests(SynchronousTestCase):
    """
    The manifest.
    """

    def setUp(self) -> None:
        """
        Read it.
        """
        objects = yaml.safe_load_all(KUBERNETES.read_text(encoding="utf-8"))
        self.objects = {each["kind"]: each for each in objects}
        self.pod = self.objects["StatefulSet"]["spec"]["template"]["spec"]
        (self.container,) = self.pod["containers"]

    def test_its_configuration(self) -> None:
        """
        The ConfigMap holds one that can be used, at the path that the image looks at, once it has an id.
        """
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        for name in ("client_secret", "webhook_secret"):
            (folder / name).write_text("something-secret")
        ((name, text),) = self.objects["ConfigMap"]["data"].items()
        (folder / name).write_text(text.replace("/run/secrets/itsjustintv", str(folder)))
        self.assertEqual([each.path for each in load(folder / name, {}).warnings], ["twitch.client_id"])
        self.assertEqual(load(folder / name, {"ITSJUSTINTV_TWITCH_CLIENT_ID": "an-id"}).warnings, ())
        mounted = {each["name"]: each["mountPath"] for each in self.container["volumeMounts"]}
        self.assertEqual(f"{mounted['config']}/{name}", built().environment["ITSJUSTINTV_CONFIG"])
        self.assertEqual(mounted["data"], built().volumes[0])

    def test_names_lead_somewhere(self) -> None:
        """
        Ports, volumes, labels and services are those that are defined, and no mount hides the links of a reload.
        """
        volumes = {each["name"] for each in self.pod["volumes"]}
        volumes |= {each["metadata"]["name"] for each in self.objects["StatefulSet"]["spec"]["volumeClaimTemplates"]}
        self.assertEqual({each["name"] for each in self.container["volumeMounts"]}, volumes)
        self.assertEqual(list(every(self.pod, "subPath")), [])
        ports = {each["name"] for each in self.container["ports"]}
        (service,) = self.objects["Service"]["spec"]["ports"]
        self.assertIn(service["targetPort"], ports)
        labels = self.objects["StatefulSet"]["spec"]["template"]["metadata"]["labels"]
        self.assertEqual(self.objects["Service"]["spec"]["selector"], labels)
        (path,) = every(self.objects["Ingress"], "path")
        self.assertEqual([path], asked_from_outside(), "what the runbook asks for from outside reaches the daemon")
        (backend,) = every(self.objects["Ingress"], "backend")
        self.assertEqual(backend["service"]["name"], self.objects["Service"]["metadata"]["name"])
        self.assertEqual(backend["service"]["port"]["name"], service["name"])

    def test_it_runs_without_rights(self) -> None:
        """
        The user is the image's, and nothing but volumes can be written to.
        """
        (user, _, _) = built().user.partition(":")
        security = self.pod["securityContext"]
        self.assertEqual(security["runAsUser"], int(user))
        self.assertEqual(security["fsGroup"], security["runAsGroup"], "who may write to the volume")
        own = self.container["securityContext"]
        self.assertEqual(own["capabilities"], {"drop": ["ALL"]})
        self.assertEqual((own["readOnlyRootFilesystem"], own["allowPrivilegeEscalation"]), (True, False))
        self.assertEqual(self.objects["StatefulSet"]["spec"]["replicas"], 1)
