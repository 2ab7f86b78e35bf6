"""Before any work, every node of the cluster proves that it sees the store and the data that the driver sees."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from datasets_spec.errors import StorageError, StoreError
from datasets_spec.storage.files import remove_folder, replace_text
from datasets_spec.storage.place import Place, S3Place, as_place

PROOF_NAME = "nodes"
TOKEN_NAME = "token"
# A node may first have to start a worker and, with a runtime environment, to install it.
ANSWER_TIMEOUT_S = 300.0
# Network file systems show another machine's new file after a while; NFS remembers a folder for up to 60 s.
SEEN_TIMEOUT_S = 60.0
_HINT = (
    "put the store (`store` in the study's file), the data files and the images on storage that all nodes mount at the "
    "same paths, data in buckets within reach of all, or leave these nodes out of the cluster"
)
_HINT_BUCKET = (
    "give every node the credentials and the endpoint of the store's bucket, put data files and images on storage that "
    "all nodes mount at the same paths or in buckets, or leave these nodes out of the cluster"
)


def prove_folder(proof: str, token: str, node_id: str, inputs: Sequence[str] = ()) -> str | None:
    """Reads the driver's token in a folder and answers with a file beside it; runs on the node.

    Args:
        proof: The folder, as the driver names it.
        token: What the driver wrote.
        node_id: Names the answer.
        inputs: Files and folders that the node must see, too.

    Returns:
        What is wrong here; None if nothing is.
    """
    try:
        folder = as_place(proof)
        if not (folder / TOKEN_NAME).is_file():
            return "does not see the folder of the store"
        if (folder / TOKEN_NAME).read_text(encoding="utf-8") != token:
            return "sees another folder in the place of the store"
        replace_text(folder / node_id, token)
    except OSError as error:
        return f"cannot use the folder of the store: {error.strerror or type(error).__name__}"
    except StorageError as error:
        return f"does not get at the store: {_in_one_line(error)}"
    # A row whose image is on another machine would be set aside, or not, as the tasks happen to be placed.
    try:
        absent = [path for path in inputs if not as_place(path).exists()]
    except StorageError as error:
        return f"does not get at the data: {_in_one_line(error)}"
    return f"does not see {absent[0]} ({len(absent)} of {len(inputs)} data files and image folders)" if absent else None


def _in_one_line(error: StorageError) -> str:
    return error.message + (f" ({error.hint})" if error.hint else "")


def require_shared_folder(folder: Place, inputs: Iterable[Place], tell: Callable[[str], None]) -> None:
    """Lets a task on every living node with processors read and write in a folder, and look for the data.

    A node that joins later is not asked; what it might lose is found when rows and parts are counted.

    Args:
        folder: New, and on the storage that the nodes should share.
        inputs: Data files and image folders, or addresses of buckets; what this process does not see, no node must.
        tell: Told which nodes are not asked, because no data job runs on a node without processors.

    Raises:
        StoreError: A node does not see the folder or the data, or does not answer; names all of them.
    """
    import ray

    nodes = [node for node in ray.nodes() if node["Alive"]]
    for node in nodes:
        if not node["Resources"].get("CPU"):
            tell(f"node {_name(node)} has no processors for data jobs: not asked whether it sees the store")
    asked = [node for node in nodes if node["Resources"].get("CPU")]
    proof, token = folder.absolute() / PROOF_NAME, secrets.token_hex(16)
    replace_text(proof / TOKEN_NAME, token)
    try:
        problems = _answers(asked, proof, token, sorted({str(path.absolute()) for path in inputs if path.exists()}))
    finally:
        remove_folder(proof)
    if problems:
        raise StoreError(
            f"{len(problems)} of {len(asked)} nodes cannot help to prepare the store in {folder.absolute()}:\n  "
            + "\n  ".join(problems),
            hint=_HINT_BUCKET if isinstance(folder, S3Place) else _HINT,
        )


def _answers(nodes: Sequence[Mapping[str, Any]], proof: Place, token: str, inputs: Sequence[str]) -> list[str]:
    """What is wrong, one line a node."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # No processor is asked for: a node that is busy with another study answers all the same.
    task = ray.remote(num_cpus=0, max_retries=1)(prove_folder)
    tasks = {}
    for node in nodes:
        here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        tasks[task.options(scheduling_strategy=here).remote(str(proof), token, node["NodeID"], inputs)] = node
    if tasks:
        ray.wait(list(tasks), num_returns=len(tasks), timeout=ANSWER_TIMEOUT_S)
    problems = []
    for reference, node in tasks.items():
        try:
            problem = ray.get(reference, timeout=0)
        except ray.exceptions.GetTimeoutError:
            problem = f"did not answer within {ANSWER_TIMEOUT_S:.0f} s"
        except ray.exceptions.RayError as error:
            if not any(other["Alive"] and other["NodeID"] == node["NodeID"] for other in ray.nodes()):
                continue  # it died before any work: the others go on
            problem = f"did not answer ({type(error).__name__})"
        if problem is None and not _is_seen(proof / node["NodeID"], token):
            problem = "writes to another folder in the place of the store"
        if problem is not None:
            problems.append(f"node {_name(node)} {problem}")
    return problems


def _is_seen(answer: Place, token: str) -> bool:
    deadline = time.monotonic() + SEEN_TIMEOUT_S
    while True:
        try:
            return answer.read_text(encoding="utf-8") == token
        except OSError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.5)


def _name(node: Mapping[str, Any]) -> str:
    return f"{node['NodeManagerAddress']} ({node['NodeManagerHostname']}, {node['NodeID'][:8]})"
