"""Nodes fetch a backbone before slots start, and say in words what keeps them from it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import errors

from datasets_spec.errors import UserError
from trainers.backbone.backbone import backbone_fingerprint
from trainers.backbone_spec import PHANTOM_DIR, BackboneSpec
from trainers.executors.backbone_on_nodes import _placed, fetch_backbone, place_backbone

HUB = BackboneSpec(model="org/model", revision="a" * 40)


class Response:
    """What an error of the hub is made of."""

    headers: dict[str, str] = {}  # noqa: RUF012 - read only
    status_code = 403
    request = None


def hub_error(kind: type[Exception]) -> Exception:
    response: Any = Response()
    return kind("no", response=response) if issubclass(kind, errors.HfHubHTTPError) else kind("no")


@pytest.mark.parametrize(
    ("kind", "message", "hint"),
    [
        (errors.GatedRepoError, "is gated, and this node has no access", "HF_TOKEN"),
        (errors.RevisionNotFoundError, "there is no such commit", "history"),
        (errors.RepositoryNotFoundError, "is not on the hub, or is private", "HF_TOKEN"),
        (errors.LocalEntryNotFoundError, "cannot be fetched", "internet"),
        (ConnectionError, "cannot be fetched", "folder"),
    ],
)
def test_what_the_hub_refuses_is_said_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, kind: type[Exception], message: str, hint: str
) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise hub_error(kind)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(UserError, match=message) as caught:
        fetch_backbone(HUB)
    assert hint in (caught.value.hint or "")
    assert "'org/model' at " + "a" * 40 in caught.value.message
    assert _placed(HUB, "x")[0] == caught.value.message


@pytest.mark.parametrize("is_trusted", [False, True])
def test_the_commit_is_fetched_without_pickles_or_code(monkeypatch: pytest.MonkeyPatch, is_trusted: bool) -> None:
    asked: list[tuple[Any, Any]] = []
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *names, **options: asked.append((names, options)))
    spec = HUB.model_copy(update={"trust_remote_code": is_trusted})
    assert _placed(spec, backbone_fingerprint(spec)) == (None, None)
    ((names, options),) = asked
    assert (names, options["revision"]) == (("org/model",), "a" * 40)
    assert ("*.py" in options["allow_patterns"]) == is_trusted
    assert not {"*.bin", "*.pt", "*"} & set(options["allow_patterns"])


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
def test_a_node_with_another_folder_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(PHANTOM_DIR, folder)
    spec = BackboneSpec(model=str(folder))
    place_backbone(spec, backbone_fingerprint(spec))
    with pytest.raises(UserError, match=r"holds other files there .* \(on the node [\d.]+\)"):
        place_backbone(spec, "of another folder")
    place_backbone(BackboneSpec(), "whatever: it comes with the package")
