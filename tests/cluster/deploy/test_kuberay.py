"""The Kubernetes recipes against KubeRay's own schema, its operator's rules, and Kubernetes' schemas.

`kuberay-crds.json.gz` holds the `v1` schemas of RayJob and RayCluster of KubeRay at feeaf72 (19 Aug 2026, Apache-2.0),
without descriptions and defaults; closed where they name properties, as the API server prunes what they do not name.
All 71 sample documents of that commit pass. `podmonitor-crd.json.gz` is likewise of the Prometheus operator 0.93.0
(Apache-2.0).
"""

from __future__ import annotations

import copy
import gzip
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from ray._private import ray_constants

from cluster.study_jobs import PREFIX, metadata_of

DEPLOY = Path(__file__).resolve().parents[3] / "cluster" / "deploy" / "kuberay"
SCHEMAS = json.loads(gzip.decompress((Path(__file__).parent / "kuberay-crds.json.gz").read_bytes()))
MONITOR_SCHEMA = Path(__file__).parent / "podmonitor-crd.json.gz"
KUBERNETES = "1.31"
GUIDE = DEPLOY.parents[2] / "docs" / "cluster.md"
CREATE_SECRET = r"kubectl create secret generic (?P<name>\S+) --from-literal=(?P<key>\w+)="
DRAIN_VARIABLE = "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"


def documents(name: str) -> list[dict[str, Any]]:
    return [dict(document) for document in yaml.safe_load_all((DEPLOY / name).read_text(encoding="utf-8"))]


def cluster_of(document: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = document["spec"]
    return dict(spec["rayClusterSpec"]) if document["kind"] == "RayJob" else spec


def faults(document: dict[str, Any]) -> list[str]:
    """What schema and operator would refuse."""
    validator = jsonschema.Draft202012Validator(SCHEMAS[document["kind"]])
    found = [error.message for error in validator.iter_errors(document)]
    return found or [*job_faults(document), *cluster_faults(cluster_of(document))]


def job_faults(document: dict[str, Any]) -> Iterator[str]:
    """Rules of `ValidateRayJobSpec` that these recipes could break."""
    if document["kind"] != "RayJob":
        return
    spec = document["spec"]
    head = spec["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
    if spec.get("submissionMode") == "SidecarMode":
        if {"submitterPodTemplate", "submitterConfig", "clusterSelector"} & set(spec):
            yield "SidecarMode submits by itself"
        if head.get("restartPolicy", "Never") != "Never":
            yield "restartPolicy of the head must be Never with SidecarMode"
    if spec.get("suspend") and not spec.get("shutdownAfterJobFinishes"):
        yield "suspend needs shutdownAfterJobFinishes"
    for name in ("activeDeadlineSeconds", "preRunningDeadlineSeconds"):
        if spec.get(name, 1) <= 0:
            yield f"{name} must be positive"
    if spec["rayClusterSpec"].get("authOptions", {}).get("enableK8sTokenAuth"):
        yield "enableK8sTokenAuth is refused for RayJob"
    if not isinstance(yaml.safe_load(spec.get("runtimeEnvYAML", "{}")), dict):
        yield "runtimeEnvYAML is no mapping"


def cluster_faults(spec: dict[str, Any]) -> Iterator[str]:
    """Rules of `ValidateRayClusterSpec` that these recipes could break."""
    is_scaled = spec.get("enableInTreeAutoscaling", False)
    version = tuple(map(int, spec.get("rayVersion", "0.0").split(".")[:2]))
    if spec.get("authOptions", {}).get("mode") == "token" and version < (2, 52):
        yield "token authentication needs rayVersion 2.52"
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    for group in groups:
        parameters = group.get("rayStartParams", {})
        if {"labels", "resources"} & set(parameters):
            yield "labels and resources stand beside rayStartParams"
        if is_scaled and group["template"]["spec"].get("restartPolicy", "Never") != "Never":
            yield "restartPolicy must be Never with the autoscaler v2"
    for group in spec["workerGroupSpecs"]:
        if not is_scaled and not {"minReplicas", "maxReplicas"} <= set(group):
            yield "minReplicas and maxReplicas are needed without autoscaling"
        if group.get("minReplicas", 0) > group.get("maxReplicas", 2**31):
            yield "minReplicas is greater than maxReplicas"
    names = {
        env["name"] for group in groups for c in group["template"]["spec"]["containers"] for env in c.get("env", [])
    }
    if names & {"RAY_REDIS_ADDRESS", "REDIS_PASSWORD", "RAY_enable_autoscaler_v2"}:
        yield "set by KubeRay's own fields"


@pytest.mark.parametrize("name", ["rayjob.yaml", "raycluster.yaml"])
def test_kuberay_takes_the_recipe(name: str) -> None:
    (document,) = documents(name)
    assert faults(document) == []


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    document = copy.deepcopy(documents("rayjob.yaml")[0])
    change(document["spec"])
    return document


def _mistype(spec: dict[str, Any]) -> None:
    spec["shutdownAfterJobFinish"] = spec.pop("shutdownAfterJobFinishes")


def _wrong_type(spec: dict[str, Any]) -> None:
    spec["backoffLimit"] = "three"


def _old_ray(spec: dict[str, Any]) -> None:
    spec["rayClusterSpec"]["rayVersion"] = "2.49.0"


def _restarts(spec: dict[str, Any]) -> None:
    spec["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["restartPolicy"] = "Always"


def _submitter(spec: dict[str, Any]) -> None:
    spec["submitterConfig"] = {"backoffLimit": 2}


@pytest.mark.parametrize("change", [_mistype, _wrong_type, _old_ray, _restarts, _submitter])
def test_mistakes_are_found(change: Callable[[dict[str, Any]], object]) -> None:
    assert faults(changed(change))


def test_kubernetes_takes_what_they_share() -> None:
    shared = documents("storage-and-access.yaml")
    assert [document["kind"] for document in shared] == ["PersistentVolumeClaim", "NetworkPolicy"]  # and no Secret
    for document in (*shared, *documents("files.yaml")):
        kubernetes_validate.validate(document, KUBERNETES, strict=True)
    policy = shared[1]
    policy["spec"]["egres"] = policy["spec"].pop("egress")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(policy, KUBERNETES, strict=True)


def test_prometheus_operator_takes_the_monitor_and_it_finds_every_pod() -> None:
    (monitor,) = documents("pod-monitor.yaml")
    validator = jsonschema.Draft202012Validator(json.loads(gzip.decompress(MONITOR_SCHEMA.read_bytes())))
    assert [error.message for error in validator.iter_errors(monitor)] == []
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    for name in ("rayjob.yaml", "raycluster.yaml"):
        cluster = cluster_of(documents(name)[0])
        head, *workers = (group["template"] for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]))
        assert all(wanted <= pod["metadata"]["labels"].items() for pod in (head, *workers))
        # KubeRay gives the port its name where no port has it (feeaf72, pod.go).
        assert endpoint["port"] in {port["name"] for port in head["spec"]["containers"][0]["ports"]}
        assert not any("ports" in pod["spec"]["containers"][0] for pod in workers)
    monitor["spec"]["podMetricsEndpoints"] = [{"prot": "metrics"}]
    assert list(validator.iter_errors(monitor))


def test_the_job_is_one_that_recombine_lists() -> None:
    (job,) = documents("rayjob.yaml")
    assert job["metadata"]["name"].startswith(PREFIX)  # KubeRay adds five letters to it
    words = job["spec"]["entrypoint"].split()
    run_dir = Path(words[words.index("--run-dir") + 1])
    assert job["spec"]["metadata"] == metadata_of("my-study", run_dir, ["my-target"])


@pytest.mark.parametrize("name", ["rayjob.yaml", "raycluster.yaml"])
def test_a_worker_that_is_taken_away_has_its_grace_period_to_drain(name: str) -> None:
    for group in cluster_of(documents(name)[0])["workerGroupSpecs"]:
        pod = group["template"]["spec"]
        env = {entry["name"]: entry["value"] for entry in pod["containers"][0]["env"]}
        drain_s = float(env[DRAIN_VARIABLE])
        assert hasattr(ray_constants, DRAIN_VARIABLE)
        assert 60 < drain_s < pod["terminationGracePeriodSeconds"]


def test_a_job_that_is_over_is_deleted_before_it_goes_on() -> None:
    """KubeRay ends with `Complete` and `Failed`, and `apply` of what is there changes nothing."""
    (job,) = documents("rayjob.yaml")
    for text in (GUIDE.read_text(encoding="utf-8"), (DEPLOY / "rayjob.yaml").read_text(encoding="utf-8")):
        assert f"kubectl delete rayjob {job['metadata']['name']}" in text


def test_the_pod_for_files_has_volume_and_token_and_reaches_the_head() -> None:
    volume, policy = documents("storage-and-access.yaml")
    (pod,), (cluster,), guide = documents("files.yaml"), documents("raycluster.yaml"), GUIDE.read_text(encoding="utf-8")
    (container,) = pod["spec"]["containers"]
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    claim = next(v for v in pod["spec"]["volumes"] if "persistentVolumeClaim" in v)
    assert claim["persistentVolumeClaim"]["claimName"] == volume["metadata"]["name"]
    assert {"name": claim["name"], "mountPath": "/shared"} in container["volumeMounts"]
    token = next(entry["valueFrom"] for entry in container["env"] if entry["name"] == "RAY_AUTH_TOKEN")
    created = re.search(CREATE_SECRET, guide)
    assert created is not None
    assert token == {"secretKeyRef": created.groupdict()}
    assert set(re.findall(r"kubectl exec (\S+) --", guide)) == {pod["metadata"]["name"]}
    # Into a folder that is there kubectl copies under the source's name: so the second time as the first.
    assert f"kubectl cp my-study {pod['metadata']['name']}:/shared " in guide
    # The name that KubeRay gives the head's service (feeaf72, util.go).
    assert f"--address http://{cluster['metadata']['name']}-head-svc:8265" in guide


def test_names_agree_across_the_recipes() -> None:
    volume, policy = documents("storage-and-access.yaml")
    token = re.search(CREATE_SECRET, GUIDE.read_text(encoding="utf-8"))
    assert token is not None
    assert token["key"] == "auth_token"
    label = policy["spec"]["podSelector"]["matchLabels"].items()
    for name in ("rayjob.yaml", "raycluster.yaml"):
        cluster = cluster_of(documents(name)[0])
        assert cluster["authOptions"]["secretName"] == token["name"]
        assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
        for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
            pod = group["template"]
            assert label <= pod["metadata"]["labels"].items()
            claims = [v["persistentVolumeClaim"]["claimName"] for v in pod["spec"]["volumes"] if "emptyDir" not in v]
            assert claims == [volume["metadata"]["name"]]
            mounted = {mount["name"]: mount["mountPath"] for mount in pod["spec"]["containers"][0]["volumeMounts"]}
            assert mounted == {"shared": "/shared", "shm": "/dev/shm"}
