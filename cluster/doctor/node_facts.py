"""What every node says of itself: one process pinned to each, which carries its own code."""

from __future__ import annotations

import hashlib
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cluster.nodes.ask_nodes import ask_every_node

COMPARED = ("recombine", "ray", "torch", "transformers", "peft")
# Read and written on every node: a file system that is slower than a second for it slows every study down.
PROBE_MIB = 8
_NUM_CLOCK_CALLS = 5


def gather(directory: Path, packages: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Ask every node of the cluster that is joined; returns what each said, by its name.

    Args:
        directory: Where studies will be written; each node reads a probe there and writes one.
        packages: Ours, by name.

    Raises:
        ClusterError: A node does not answer.
    """
    with _probe(directory) as (probe, digest):
        tell, look_at_clock = _teller(tuple(packages), str(probe), digest, PROBE_MIB), _clock(_NUM_CLOCK_CALLS)
        # One question for both: of a cluster whose nodes come and go two answers would name other nodes.
        facts = ask_every_node(lambda: {**tell(), "skew_s": look_at_clock()})
        for fact in facts.values():
            written = fact.get("written")
            fact["is_seen_here"] = written is not None and Path(written).is_file()
    return facts


def compared_versions() -> dict[str, str]:
    """The versions of this process that every node is compared with."""
    return {**_version_teller(COMPARED)(), "python": platform.python_version()}


def _version_teller(names: tuple[str, ...]) -> Callable[[], dict[str, str]]:
    def tell() -> dict[str, str]:
        import importlib.metadata

        found = {}
        for name in names:
            try:
                found[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                found[name] = "none"
        return found

    return tell


@contextmanager
def _probe(directory: Path) -> Iterator[tuple[Path, str]]:
    """A file of random bytes in a folder of its own, and its SHA-256; both are gone afterwards."""
    import shutil

    content = os.urandom(PROBE_MIB * 2**20)
    folder = directory / f".recombine-probe-{os.getpid()}-{time.time_ns()}"
    folder.mkdir(parents=True)
    try:
        (folder / "probe").write_bytes(content)
        yield folder / "probe", hashlib.sha256(content).hexdigest()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _clock(num_calls: int) -> Any:
    """A question whose answer is how far a node's clock is ahead of this one's, and how exactly that is known."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    this = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)

    class Here:
        def now(self) -> float:
            import time

            return time.time()

    here = ray.remote(num_cpus=0, scheduling_strategy=this)(Here).remote()
    ray.get(here.now.remote())

    def ask() -> tuple[float, float]:
        import time

        import ray

        best = (float("inf"), 0.0)
        for _ in range(num_calls):
            before = time.time()
            there = ray.get(here.now.remote())
            after = time.time()
            # The answer was given between the two, so that half of the time between them is the error.
            best = min(best, ((after - before) / 2, (before + after) / 2 - there))
        return best[1], best[0]

    return ask


# What follows is defined inside functions, so that it travels by value: a node without our packages answers too.


def _teller(packages: tuple[str, ...], probe: str, digest: str, num_mib: int) -> Callable[[], dict[str, Any]]:
    versions, folder = _version_teller(COMPARED), _folder_teller(probe, digest, num_mib)
    origins, gpus, token_mode, models = _origin_teller(packages), _gpu_teller(), _token_mode_teller(), _model_teller()

    def tell() -> dict[str, Any]:
        import os
        import platform
        import shutil
        from pathlib import Path

        import ray

        session, shm = ray._private.worker.global_worker.node.get_session_dir_path(), Path("/dev/shm")
        num_gpus = sum(
            node["Resources"].get("GPU", 0)
            for node in ray.nodes()
            if node["NodeID"] == ray.get_runtime_context().get_node_id()
        )
        return {
            "versions": {**versions(), "python": platform.python_version()},
            "origins": origins(),
            "disk_gib": shutil.disk_usage(session).free / 2**30,
            "shm_gib": shutil.disk_usage(shm).free / 2**30 if shm.is_dir() else None,
            "gpus": gpus(),
            "num_gpus": num_gpus,
            "is_token_mode": os.environ.get("RAY_AUTH_MODE", "").lower() == "token",
            "token_mode": token_mode(),
            "models": models(),
            **folder(),
        }

    return tell


def _origin_teller(packages: tuple[str, ...]) -> Callable[[], dict[str, str]]:
    """Where each package comes from; "" for one that is not there."""

    def origins() -> dict[str, str]:
        import importlib.util

        specs = {name: importlib.util.find_spec(name) for name in packages}
        return {name: (spec.origin or "") if spec else "" for name, spec in specs.items()}

    return origins


def _folder_teller(probe: str, digest: str, num_mib: int) -> Callable[[], dict[str, Any]]:
    """How fast the probe's folder is read and written, in MiB a second; an error's words where it is not."""

    def seen() -> dict[str, Any]:
        import hashlib
        import os
        import socket
        import time
        from pathlib import Path

        try:
            started = time.monotonic()
            is_same = hashlib.sha256(Path(probe).read_bytes()).hexdigest() == digest
            read_s = time.monotonic() - started
            own = f"{probe}-{socket.gethostname()}-{os.getpid()}"
            started = time.monotonic()
            with open(own, "wb") as file:
                file.write(os.urandom(num_mib * 2**20))
                file.flush()
                os.fsync(file.fileno())
            write_s = time.monotonic() - started
        except OSError as error:
            return {"folder_error": error.strerror or type(error).__name__}
        speeds = {"read_mib_s": num_mib / max(read_s, 1e-6), "write_mib_s": num_mib / max(write_s, 1e-6)}
        return {"is_same": is_same, "written": own, **speeds}

    return seen


def _gpu_teller() -> Callable[[], list[str]]:
    """A line a GPU that the driver shows: name, version of the driver, memory."""

    def gpus() -> list[str]:
        import subprocess

        asked = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
        try:
            found = subprocess.run(asked, capture_output=True, text=True, timeout=30, check=True).stdout
        except (OSError, subprocess.SubprocessError):
            return []
        return [line.strip() for line in found.splitlines() if line.strip()]

    return gpus


def _token_mode_teller() -> Callable[[], int | None]:
    """Who may read the token's file, as its mode; None without one."""

    def token_mode() -> int | None:
        import os
        from pathlib import Path

        path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
        return path.stat().st_mode & 0o777 if path.exists() else None

    return token_mode


def _model_teller() -> Callable[[], list[str]]:
    """The models in Hugging Face's cache."""

    def models() -> list[str]:
        import os
        from pathlib import Path

        hub = Path(os.environ.get("HF_HUB_CACHE") or Path(os.environ.get("HF_HOME") or "~/.cache/huggingface") / "hub")
        return sorted(path.name for path in hub.expanduser().glob("models--*"))

    return models
