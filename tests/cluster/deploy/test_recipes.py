"""Every recipe says what it needs, and passes the checker of its kind; the checkers are real programs."""

from __future__ import annotations

import copy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[3]
DEPLOY = REPOSITORY / "cluster" / "deploy"
CONSTRAINTS = REPOSITORY / "constraints.txt"
DOCKERFILE = DEPLOY / "container" / "Dockerfile"
RECIPES = sorted(path for path in DEPLOY.rglob("*") if path.is_file() and path.suffix != ".json")
SCRIPTS = [DEPLOY / "onprem" / "node.sh", DEPLOY / "slurm" / "recombine.sbatch"]


def checker(name: str) -> str:
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    assert found is not None, f"{name} is not installed: make install"
    return found


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.name)
def test_a_recipe_begins_with_what_it_needs(recipe: Path) -> None:
    head = "".join(line for line in recipe.read_text().splitlines(keepends=True)[:40] if line.startswith("#"))
    assert "# Preconditions\n#   1. " in head


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_pass_shellcheck(script: Path) -> None:
    done = subprocess.run([checker("shellcheck"), str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_no_script_stops_the_ray_of_others() -> None:
    for script in SCRIPTS:
        code = [line.partition("#")[0] for line in script.read_text().splitlines()]
        assert not any("ray stop" in line or "symmetric-run" in line or "pkill" in line for line in code)


def test_the_image_passes_hadolint() -> None:
    done = subprocess.run([checker("hadolint"), str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_what_the_image_copies_is_enough_for_the_wheel(tmp_path: Path) -> None:
    for source, target in copied_into_the_image():
        if (REPOSITORY / source).is_dir():
            shutil.copytree(REPOSITORY / source, tmp_path / target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(REPOSITORY / source, tmp_path / target)
    builder = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "built"]  # what pip calls, offline
    done = subprocess.run(builder, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "built").glob("*.whl"))


def test_what_the_head_of_an_aws_cluster_calls_is_in_the_image() -> None:
    """Its autoscaler asks AWS by boto3 and starts nodes by ssh and rsync (ray/autoscaler/_private)."""
    image = DOCKERFILE.read_text()
    assert all(word in image.split() for word in ("openssh-client", "rsync", "boto3"))
    pins = dict(line.split("==") for line in CONSTRAINTS.read_text().splitlines() if "==" in line)
    assert pins["boto3"] == pins["botocore"]  # boto3 takes no older botocore, and s3fs no newer


def copied_into_the_image() -> list[tuple[str, str]]:
    """What of the repository goes where in the folder that the image installs from."""
    lines = [line.split()[1:] for line in DOCKERFILE.read_text().splitlines() if line.startswith("COPY ")]
    return [(source, target) for *sources, target in lines for source in sources]


def test_rays_launcher_takes_the_aws_recipe() -> None:
    text = (DEPLOY / "aws" / "cluster.yaml").read_text(encoding="utf-8")
    config = yaml.safe_load(text)
    assert any("CHANGE.efs" in command for command in config["initialization_commands"])
    assert "set id and region where it is mounted" in text
    launch(copy.deepcopy(config))
    mistyped = copy.deepcopy(config)
    mistyped["available_node_types"]["gpu-spot"]["max_worker"] = 8
    with pytest.raises(Exception, match="max_worker"):
        launch(mistyped)


def launch(config: dict[str, Any]) -> None:
    """What `ray up` does with a file before it asks AWS for anything."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(config))
