"""Check an installation before a study meets it: each finding with what to do about it."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from cluster.auth import TOKEN_HINT, find_token, is_loopback, refuse_unsafe_environment
from cluster.doctor.check import Check, Status
from cluster.errors import ClusterError
from cluster.machine import PACKAGES, count_cpus, find_origins, free_disk_gib, shared_memory_gib, total_memory_gib

DISTRIBUTION = "recombine"
_OLDEST_PYTHON = (3, 11)
# A trainer with torch, transformers and peft holds 0.7 GiB; a nested trial is 8 to 9 processes (measured).
_MEMORY_ENOUGH_GIB = 4.0
_DISK_ENOUGH_GIB = 5.0
_DISK_LEAST_GIB = 0.5
_SHM_ENOUGH_GIB = 1.0


def run_checks(address: str | None = None, *, directory: Path | None = None, start_ray: bool = True) -> list[Check]:
    """Run every check; none raises, a check that cannot run is a finding.

    Args:
        address: A cluster to join (host:6379) or to submit to (http://host:8265); None checks this machine.
        directory: Where studies will be written; None takes the current folder.
        start_ray: False leaves out the checks that start or join Ray (about 10 s).
    """
    where = directory or Path.cwd()
    checks = [
        check_python(),
        check_packages(),
        check_origins(),
        check_cpus(),
        check_memory(),
        check_shared_memory(),
        check_disk(where),
        check_writable(where),
        check_device(),
        check_environment(),
        check_token(address),
        check_chromium(),
        check_model_cache(),
    ]
    if start_ray:
        from cluster.doctor.ray_checks import check_jobs_api, check_nodes, check_workers

        if address is None:
            checks.append(check_workers(PACKAGES))
        elif address.startswith(("http://", "https://")):
            checks.append(check_jobs_api(address))
        else:
            checks += check_nodes(address, where, PACKAGES)
    return checks


def check_python() -> Check:
    """Whether this Python is new enough."""
    return Check(
        name="python",
        status="ok" if sys.version_info >= _OLDEST_PYTHON else "fail",
        detail=f"{sys.version.split()[0]} at {sys.executable}",
        fix="Python 3.11 or newer: `make install PYTHON=python3.11`.",
    )


def check_packages() -> Check:
    """Whether every requirement is installed, at or above its floor (some floors are security fixes)."""
    from packaging.requirements import Requirement

    fix = "`make install`, or `pip install -c constraints.txt -e .`"
    try:
        lines = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return Check(name="packages", status="warn", detail=f"{DISTRIBUTION} itself is not installed", fix=fix)
    problems = []
    for requirement in map(Requirement, lines):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            problems.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            problems.append(f"{requirement.name} {version} is not {requirement.specifier}")
    if problems:
        return Check(name="packages", status="fail", detail="; ".join(problems), fix=fix)
    return Check(name="packages", status="ok", detail=f"{len(lines)} requirements met", fix=fix)


def check_origins() -> Check:
    """Whether our packages come from one place: names like `search` are easily shadowed by a user's file."""
    origins = find_origins(PACKAGES)
    home = Path(__file__).resolve().parents[2]
    strays = {n: o for n, o in origins.items() if not o or Path(o).resolve().parent.parent != home}
    if strays:
        detail = "; ".join(f"{name} from {origin or 'nowhere'}" for name, origin in strays.items())
    else:
        detail = f"all from {home}"
    fix = "Rename your own file or folder of that name; start `recombine`, not `python -m search.cli`."
    return Check(name="package origins", status="fail" if strays else "ok", detail=detail, fix=fix)


def check_cpus() -> Check:
    """Whether a trial and Ray Data can run at the same time."""
    num_cpus = count_cpus()
    return Check(
        name="processors",
        status="ok" if num_cpus >= 2 else "warn",
        detail=f"{num_cpus}",
        fix="Two or more: with one, reading and training take turns.",
    )


def check_memory() -> Check:
    """Whether memory holds Ray and one trial."""
    memory_gib = total_memory_gib()
    return Check(
        name="memory",
        status="ok" if memory_gib >= _MEMORY_ENOUGH_GIB else "warn",
        detail=f"{memory_gib:.1f} GiB",
        fix=f"{_MEMORY_ENOUGH_GIB:g} GiB or more, or one trial at a time.",
    )


def check_shared_memory() -> Check:
    """Whether Ray's shared blocks fit into shared memory."""
    shared_gib = shared_memory_gib()
    return Check(
        name="shared memory",
        status="ok" if shared_gib is None or shared_gib >= _SHM_ENOUGH_GIB else "warn",
        detail="no /dev/shm on this system" if shared_gib is None else f"{shared_gib:.1f} GiB in /dev/shm",
        fix="In a container: --shm-size=4g (Kubernetes: an emptyDir with medium Memory on /dev/shm).",
    )


def check_disk(directory: Path) -> Check:
    """Whether a study fits: its store, its adapters, what Ray spills."""
    free_gib = free_disk_gib(_existing(directory))
    status: Status = "fail" if free_gib < _DISK_LEAST_GIB else "warn" if free_gib < _DISK_ENOUGH_GIB else "ok"
    return Check(
        name="disk",
        status=status,
        detail=f"{free_gib:.1f} GiB free at {directory}",
        fix="Free some space, or write studies elsewhere.",
    )


def check_writable(directory: Path) -> Check:
    """Whether a file can be written, forced to disk, renamed and removed there, as the ledger needs."""
    fix = f"Give yourself the right to write to {directory}, or choose another folder."
    try:
        with tempfile.TemporaryDirectory(prefix=".recombine-probe-", dir=_existing(directory)) as folder:
            draft = Path(folder) / "draft"
            with draft.open("wb") as file:
                file.write(b"probe")
                file.flush()
                os.fsync(file.fileno())
            draft.rename(Path(folder) / "final")
    except OSError as error:
        return Check(name="write probe", status="fail", detail=f"{directory}: {error.strerror}", fix=fix)
    return Check(name="write probe", status="ok", detail=f"{directory}", fix=fix)


def check_device() -> Check:
    """What torch computes on."""
    fix = "For a GPU: a CUDA build of torch, and `nvidia-smi` must list the card."
    try:
        import torch
    except (ImportError, OSError) as error:  # a missing driver library is an OSError
        return Check(name="device", status="fail", detail=f"torch: {error}", fix="`make install`")
    if torch.cuda.is_available():
        count, gib = torch.cuda.device_count(), torch.cuda.get_device_properties(0).total_memory / 1024**3
        detail = f"{count} x {torch.cuda.get_device_name(0)}, {gib:.0f} GiB; torch {torch.__version__}"
    else:
        detail = f"CPU (enough for the demo); torch {torch.__version__}"
    return Check(name="device", status="ok", detail=detail, fix=fix)


def check_environment() -> Check:
    """Whether a setting of this shell would make Ray unsafe."""
    try:
        refuse_unsafe_environment()
    except ClusterError as error:
        return Check(name="environment", status="fail", detail=error.message, fix=error.hint or "")
    return Check(name="environment", status="ok", detail="no unsafe setting", fix="")


def check_token(address: str | None) -> Check:
    """Whether there is a token for the cluster named, and nobody else can read its file."""
    try:
        token = find_token()
    except ClusterError as error:
        return Check(name="token", status="fail", detail=error.message, fix=error.hint or "")
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token").expanduser()
    if token is None:
        host = (address or "127.0.0.1").partition("://")[2] or address or "127.0.0.1"
        is_local = address in (None, "auto", "local") or is_loopback(host.rpartition(":")[0] or host)
        detail = "none yet; a local cluster makes one" if is_local else "none"
        return Check(name="token", status="ok" if is_local else "fail", detail=detail, fix=TOKEN_HINT)
    if path.exists() and path.stat().st_mode & 0o077:
        return Check(name="token", status="warn", detail="others can read its file", fix=f"chmod 600 {path}")
    return Check(name="token", status="ok", detail="found", fix=TOKEN_HINT)


def check_chromium() -> Check:
    """Whether the tests that open a report in a browser can run."""
    found = next((path for path in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if path), "")
    detail = found or "none; only the tests that open a report need one"
    return Check(name="browser", status="ok", detail=detail, fix="Debian: `apt-get install chromium`.")


def check_model_cache() -> Check:
    """Whether Hugging Face backbones are at hand where the network is not to be used."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()
    num_models = len(list(cache.glob("models--*"))) if cache.is_dir() else 0
    is_offline = os.environ.get("HF_HUB_OFFLINE", "0").lower() in ("1", "true", "yes", "on")
    return Check(
        name="model cache",
        status="warn" if is_offline and not num_models else "ok",
        detail=f"{num_models} models in {cache}" + (", offline" if is_offline else ""),
        fix="Where there is a network: `hf download MODEL --revision REVISION`; then copy the folder. "
        "The demo's backbone ships with the package.",
    )


def _existing(directory: Path) -> Path:
    """`directory`, or the nearest folder above it that exists: a study makes its own."""
    candidate = directory.absolute()
    while not candidate.exists():
        candidate = candidate.parent
    return candidate
