"""Ray's shared token: found, made private, switched on; and the settings that would undo it, refused."""

from __future__ import annotations

import ipaddress
import os
import secrets
import sys
from pathlib import Path

from cluster.errors import ClusterError

# With any of these set, reading a Parquet or Arrow file may run code from it (Ray's own opt-outs from the
# fixes for CVE-2026-41486 and its relatives).
PICKLE_SWITCHES = (
    "RAY_DATA_AUTOLOAD_PICKLE_OBJECT_SCALAR",
    "RAY_DATA_ARROW_EXTENSION_SERIALIZATION_CLOUDPICKLE",
    "RAY_DATA_AUTOLOAD_PYEXTENSIONTYPE",
)
TOKEN_HINT = (
    "Set RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH to the token the cluster was started with "
    "(make one with `ray get-auth-token --generate` and give it to every node before `ray start`)."
)

NO_TOKEN_ASKED_HINT = (
    "Give every node one token and RAY_AUTH_MODE=token before `ray start`, as the recipes in cluster/deploy do."
)


def refuse_unsafe_environment() -> None:
    """Refuse to start with authentication switched off or with pickles switched on.

    Raises:
        ClusterError: Naming the variable to unset.
    """
    if os.environ.get("RAY_AUTH_MODE", "").lower() == "disabled":
        raise ClusterError(
            "RAY_AUTH_MODE=disabled: anyone who reaches this machine's ports could run code on it.",
            hint="Unset RAY_AUTH_MODE; a local cluster then gets a private token by itself.",
        )
    for name in PICKLE_SWITCHES:
        if os.environ.get(name, "").lower() not in ("", "0", "false"):
            raise ClusterError(
                f"{name} is set: reading a data file could then run code hidden in it.",
                hint=f"Unset {name}; nothing here needs it.",
            )


def find_token() -> str | None:
    """The token in Ray's own order: RAY_AUTH_TOKEN, the file RAY_AUTH_TOKEN_PATH names, ~/.ray/auth_token.

    Raises:
        ClusterError: RAY_AUTH_TOKEN_PATH names a file that cannot be read.
    """
    token = os.environ.get("RAY_AUTH_TOKEN", "").strip()
    if token:
        return token
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    path = Path(named).expanduser() if named else _default_token_path()
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except OSError as error:
        if named:
            raise ClusterError(
                f"RAY_AUTH_TOKEN_PATH names {path}, which cannot be read ({error.strerror}).", hint=TOKEN_HINT
            ) from error
        return None


def ensure_local_token() -> None:
    """See to it that a new local cluster has a token that only this user can read.

    Ray would write ~/.ray/auth_token for everyone to read (mode 0644, measured with 2.60); here it is 0600.
    Where the home folder cannot be written, the token lives in this process's environment only.
    """
    path = _default_token_path()
    if find_token() is None:
        token = secrets.token_hex(32)
        if not _write_private(path, token) and find_token() is None:
            os.environ["RAY_AUTH_TOKEN"] = token
    elif path.exists() and path.stat().st_uid == os.getuid() and path.stat().st_mode & 0o077:
        path.chmod(0o600)


def turn_on_token_auth() -> None:
    """Make this process, and what it starts, use the token; an explicit RAY_AUTH_MODE is left as it is."""
    if os.environ.setdefault("RAY_AUTH_MODE", "token") and "ray" in sys.modules:
        # Ray reads its settings once, when it is imported; without this an already imported Ray would
        # start a cluster that asks for no token.
        sys.modules["ray._raylet"].Config.initialize("")


def is_loopback(host: str) -> bool:
    """Whether `host` (a name or an address, no port) can only be this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _default_token_path() -> Path:
    return Path.home() / ".ray" / "auth_token"


def _write_private(path: Path, token: str) -> bool:
    """Create `path` with mode 0600; False when it exists already (another study was first) or cannot be."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(token)
        try:
            os.link(draft, path)  # all or nothing, and never over another study's token
        finally:
            draft.unlink()
    except OSError:
        return False
    return True
