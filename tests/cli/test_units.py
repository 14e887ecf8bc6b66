"""The units that run streamcam unattended: systemd and Kubernetes."""

import shutil
import subprocess
import sys
from configparser import RawConfigParser
from pathlib import Path

import pytest
import yaml

from streamcam.cli.exit_process import RESTART_CODE
from streamcam.runtime.pipeline import JOIN_S
from tests.support.commands import streamcam
from tests.support.paths import CONFIGS

UNIT = CONFIGS / "streamcam.service"


def unit() -> RawConfigParser:
    parser = RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNIT)
    return parser


def test_systemd_starts_it_again_after_a_hang_but_not_after_a_mistake_and_not_for_ever() -> None:
    service, limits = unit()["Service"], unit()["Unit"]
    assert service["Restart"] == "on-failure"
    never_again = service["RestartPreventExitStatus"].split()
    assert "2" in never_again
    assert str(RESTART_CODE) not in never_again
    assert int(service["TimeoutStopSec"]) > JOIN_S
    assert int(limits["StartLimitBurst"]) > 0
    assert limits["StartLimitIntervalSec"] == "10min"


LOSES_ITS_DEVICE = """
from streamcam.engines.device.runner import TorchRunner

def lost(self, frames, normalise=TorchRunner.normalise, calls=iter(range(10_000))):
    if next(calls) > 5:
        raise RuntimeError({error!r})
    return normalise(self, frames)

TorchRunner.normalise = lost
"""


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        ("CUDA error: unspecified launch failure", RESTART_CODE, "cpu has failed, and computes nothing more for"),
        ("CUDA error: out of memory", 2, "cpu has not enough memory for"),
    ],
)
def test_a_device_that_is_lost_is_worth_another_start_and_one_that_is_too_small_is_not(
    error: str, code: int, told: str
) -> None:
    watching = (
        "run",
        "sample",
        "--model",
        "motion",
        "--backend",
        "torch",
        "--device",
        "cpu",
        "--bind",
        "none",
        "--loop",
    )
    done = streamcam(*watching, first=LOSES_ITS_DEVICE.format(error=error))
    assert done.returncode == code, done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"streamcam: {told}")
    assert "Traceback" not in done.stderr


def test_what_they_run_finds_its_password() -> None:
    wanted = [source["password_env"] for source in yaml.safe_load((CONFIGS / "rtsp.yaml").read_text())["sources"]]
    text = UNIT.read_text()
    assert unit()["Service"]["EnvironmentFile"] == "/etc/streamcam/env"
    assert "install -m 0600 /dev/null /etc/streamcam/env" in text
    (container,) = yaml.safe_load((CONFIGS / "kubernetes.yaml").read_text())["spec"]["template"]["spec"]["containers"]
    secret = {variable["name"] for variable in container["env"] if "secretKeyRef" in variable.get("valueFrom", {})}
    for variable in wanted:
        assert f"{variable}=" in text
        assert variable in secret


def test_systemd_takes_the_unit_as_it_is(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/streamcam/bin/streamcam", sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_kubernetes_runs_one_that_takes_its_configuration_from_a_secret() -> None:
    deployment = yaml.safe_load((CONFIGS / "kubernetes.yaml").read_text())
    assert (deployment["apiVersion"], deployment["kind"]) == ("apps/v1", "Deployment")
    spec = deployment["spec"]
    pod = spec["template"]["spec"]
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
    assert spec["strategy"] == {"type": "Recreate"}
    assert "restartPolicy" not in pod  # of a Deployment it is Always
    assert pod["terminationGracePeriodSeconds"] > JOIN_S
    (container,) = pod["containers"]
    assert container["args"][:3] == ["streamcam", "run", "--config"]
    assert container["resources"]["limits"]["memory"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert mounts.keys() == volumes.keys()
    assert container["args"][3].startswith(mounts["config"])
    assert volumes["config"]["secret"]["defaultMode"] == 0o440
    assert not any("value" in variable and "pass" in variable["name"].lower() for variable in container["env"])
