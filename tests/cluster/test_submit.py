from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest.mock import Mock

import pytest
import ray

from cluster import submit as module
from cluster.errors import ClusterError
from cluster.jobs_client import open_client
from cluster.stop_job import stop_job
from cluster.submit import submit, to_shell
from tests.makers.ray_head import HeadNode, free_ports

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """No token from this machine: each test sets its own."""
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return monkeypatch


def run_shell(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    line = to_shell(folder, command)
    return subprocess.run(["sh", "-c", line], cwd=folder.parent, capture_output=True, text=True, check=False)


def test_what_the_head_lacks_is_said_in_our_words(tmp_path: Path) -> None:
    """Without the folder the command ran in whatever folder the job began in."""
    folder = tmp_path / "it's here"
    done = run_shell(folder, "touch", "ran")
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr
        == f"error: the head has no folder {folder}: every node mounts the same storage under the same path\n"
    )
    folder.mkdir()
    done = run_shell(folder, "recombin", "run")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: recombin is not on the PATH of the head's Ray: ")
    assert list(tmp_path.rglob("ran")) == []
    assert run_shell(folder, "sh", "-c", "touch ran; exit 7").returncode == 7
    assert (folder / "ran").exists()


def test_the_job_asks_for_no_resource_of_its_own(token: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With one, Ray puts the driver on whatever node has it (an interruptible one); without, it stays on the head."""
    client = Mock()
    client.list_jobs.return_value = []
    token.setattr(module, "open_client", lambda *_: client)
    given = {"address": "http://x:8265", "folder": tmp_path, "entrypoint": ["true"], "on_line": lambda line: None}
    submit(**given, name="recombine-x", follow=False)  # type: ignore[arg-type]
    assert client.submit_job.call_args.kwargs.keys() == {"submission_id", "entrypoint", "runtime_env", "metadata"}


@pytest.mark.parametrize(("runs_with", "is_said"), [("", True), (" --topup", False)])
def test_a_running_job_is_attached_to_and_what_it_lacks_is_said(
    token: pytest.MonkeyPatch, tmp_path: Path, runs_with: str, is_said: bool
) -> None:
    running = Mock(submission_id="recombine-x-try1", metadata={}, status="RUNNING", start_time=1000)
    running.entrypoint = f"exec recombine run s.yaml{runs_with}"
    client, lines = Mock(), list[str]()
    client.list_jobs.return_value = [running]
    token.setattr(module, "open_client", lambda *_: client)
    command = ["recombine", "run", "s.yaml", "--topup"]
    given = {"address": "http://x:8265", "folder": tmp_path, "entrypoint": command, "on_line": lines.append}
    assert submit(**given, name="recombine-x", follow=False) == 0  # type: ignore[arg-type]
    client.submit_job.assert_not_called()
    assert lines[0] == "recombine-x-try1 runs this study already: attached to it."
    said = "It was started without --topup: when it has ended, give the same command again."
    assert (said in lines) == is_said


JOB = (
    "import os, sys; from cluster.connect import connect, disconnect; connection = connect(num_cpus=4)\n"
    "print('stands in', os.getcwd())\n"
    "print('state', os.environ['RAY_TRAIN_ENABLE_STATE_TRACKING'], os.environ['COLOUR'])\n"
    "print('joined', connection.address, connection.was_started, connection.resources['CPU']); disconnect()\n"
    "print('last line without an end', end='')\n"
    "sys.exit(7)\n"
)


@pytest.mark.ray
def test_job_joins_its_cluster_is_followed_and_its_exit_code_returned(
    head: HeadNode, token: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """connect() without an address finds its own cluster and token there."""
    token.setenv("RAY_AUTH_TOKEN", head.token)
    lines: list[str] = []
    returned = submit(
        address=head.address_http,
        folder=tmp_path,
        entrypoint=["python", "-c", JOB],
        env_vars={"COLOUR": "a b"},
        on_line=lines.append,
    )
    assert returned == 7, lines
    assert f"stands in {tmp_path}" in lines
    assert "state 1 a b" in lines
    joined = next(line for line in lines if line.startswith("joined"))
    assert joined.endswith(f":{head.gcs_address.rpartition(':')[2]} False 2.0")  # Ray names the host as it likes
    assert lines.count("last line without an end") == 1
    assert not [line for line in lines if "job_manager" in line or "entrypoint" in line]  # of Ray


@pytest.mark.ray
@pytest.mark.parametrize(("value", "words"), [("0" * 64, "refused the token"), (None, "asks for a token")])
def test_wrong_and_missing_token_are_refused(
    head: HeadNode, token: pytest.MonkeyPatch, tmp_path: Path, value: str | None, words: str
) -> None:
    if value is not None:
        token.setenv("RAY_AUTH_TOKEN", value)
    with pytest.raises(ClusterError, match=words) as caught:
        submit(address=head.address_http, folder=tmp_path, entrypoint=["true"], on_line=lambda line: None)
    assert caught.value.exit_code == 2
    assert "RAY_AUTH_TOKEN" in str(caught.value)
    assert head.token not in str(caught.value)


class TokenlessDashboard(BaseHTTPRequestHandler):
    """Answers whoever asks, as that of a plain `ray start --head` does."""

    num_posted = 0

    def do_GET(self) -> None:
        answer = {"ray_version": ray.__version__} if self.path == "/api/version" else []
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def do_POST(self) -> None:
        type(self).num_posted += 1
        self.send_response(500)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("value", ["0" * 64, None])
def test_a_cluster_that_asks_for_no_token_is_refused_through_a_tunnel_too(
    token: pytest.MonkeyPatch, tmp_path: Path, value: str | None
) -> None:
    """On 127.0.0.1 stands the near end of whatever `ssh -L` leads to."""
    if value is not None:
        token.setenv("RAY_AUTH_TOKEN", value)
    server = ThreadingHTTPServer(("127.0.0.1", 0), TokenlessDashboard)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_port}"
        with pytest.raises(ClusterError, match="asks for no token") as caught:
            submit(address=address, folder=tmp_path, entrypoint=["true"], on_line=lambda line: None)
    finally:
        server.shutdown()
        server.server_close()
    assert TokenlessDashboard.num_posted == 0
    assert "RAY_AUTH_MODE=token" in str(caught.value)


@pytest.mark.ray
def test_interrupt_leaves_the_job_running_and_says_how_to_go_on(head: HeadNode, tmp_path: Path) -> None:
    study = tmp_path / "study"
    study.mkdir()
    # A shell starts its background jobs with SIGINT ignored, and who inherits that gets no KeyboardInterrupt.
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import sys; from pathlib import Path; from cluster.submit import submit\n"
        "command = ['sh', '-c', 'echo started; sleep 120']\n"
        "sys.exit(submit(address=sys.argv[1], folder=Path(sys.argv[2]), name='recombine-long-one', study='s.yaml',\n"
        "  entrypoint=command, on_line=lambda line: print(line, flush=True)))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, head.address_http, str(study)],
        env=head.env | {"PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line.strip())
        if line.strip() == "started":
            process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 130
    assert "Stopped following; recombine-long-one-try1 goes on." in seen
    assert f"stop: recombine stop s.yaml --address {head.address_http}" in seen
    assert not any("Traceback" in line for line in seen)
    os.environ["RAY_AUTH_TOKEN"] = head.token
    try:
        client, lines = open_client(head.address_http), list[str]()
        assert client.get_job_status("recombine-long-one-try1").value == "RUNNING"
        stop_job(address=head.address_http, job_id="recombine-long-one-try1", on_line=lines.append)
        assert lines[-1].startswith("recombine-long-one-try1 has ended, after ")
        assert client.get_job_status("recombine-long-one-try1").value == "STOPPED"
    finally:
        del os.environ["RAY_AUTH_TOKEN"]


@pytest.mark.ray
def test_a_stopped_job_has_longer_to_save_than_ray_gives_it(
    head: HeadNode, token: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    token.setenv("RAY_AUTH_TOKEN", head.token)
    (tmp_path / "empty").mkdir()
    saved = tmp_path / "saved"
    program = (
        "import signal, sys, time, pathlib\n"
        f"def save(*_): time.sleep(6); pathlib.Path({str(saved)!r}).touch(); sys.exit(143)\n"
        "signal.signal(signal.SIGTERM, save); print('started', flush=True)\n"
        "while True: time.sleep(0.1)\n"
    )
    lines: list[str] = []

    def on_line(line: str) -> None:
        lines.append(line)
        if line == "started":
            client.stop_job("recombine-saver-try1")

    client, study = open_client(head.address_http), "s.yaml seed=7"
    given = {"address": head.address_http, "folder": tmp_path / "empty", "name": "recombine-saver", "study": study}
    returned = submit(**given, entrypoint=["python", "-c", program], on_line=on_line)  # type: ignore[arg-type]
    assert saved.exists(), lines
    assert returned == 143  # what its follower is told, though Ray keeps no exit code of a stopped job
    assert "recombine-saver-try1 was stopped." in lines
    assert lines[-1] == f"The study goes on from there: recombine submit s.yaml seed=7 --address {head.address_http}"


def test_nobody_at_the_address_is_said_at_once(token: pytest.MonkeyPatch, tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{free_ports(1)[0]}"
    started = time.monotonic()
    with pytest.raises(ClusterError, match="Nobody answers") as caught:
        submit(address=address, folder=tmp_path, entrypoint=["true"], on_line=lambda line: None)
    assert time.monotonic() - started < 6
    assert "ssh -L" in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"env_vars": {"HF_TOKEN": "x"}}, "HF_TOKEN looks like a secret"),
        ({"address": "ray://head:10001"}, "not a dashboard's address"),
    ],
)
def test_mistakes_are_named_before_anything_is_sent(
    token: pytest.MonkeyPatch, tmp_path: Path, arguments: dict[str, object], words: str
) -> None:
    given: dict[str, object] = {
        "address": "http://127.0.0.1:9",
        "folder": tmp_path,
        "entrypoint": ["true"],
    }
    with pytest.raises(ClusterError, match=words):
        submit(**{**given, **arguments}, on_line=lambda line: None)  # type: ignore[arg-type]
