"""`recombine doctor`."""

from __future__ import annotations

from pathlib import Path

from search.cli.console import print_line, print_table


def show_doctor(address: str | None, directory: Path | None) -> int:
    """Print every check with its fix; return 1 when one fails. Through a dashboard, the cluster then checks itself."""
    from cluster.doctor.run_checks import run_checks

    where = (directory or Path.cwd()).absolute()
    is_dashboard = address is not None and address.startswith(("http://", "https://"))
    checks = run_checks(address, directory=None if is_dashboard else where)
    print_table("Checks", ["check", "status", "found"], [[c.name, c.status, c.detail] for c in checks])
    for check in checks:
        if check.status != "ok":
            print_line(f"{check.name}: {check.fix}")
    code = int(any(check.status == "fail" for check in checks))
    is_answering = any(check.name == "ray jobs" and check.status != "fail" for check in checks)
    return max(code, _run_there(str(address), where)) if is_answering else code


def _run_there(address: str, directory: Path) -> int:
    """The doctor as a job: only a process of the cluster can ask its nodes."""
    from cluster.submit import submit

    print_line(f"The same on the cluster, in {directory} there (--dir names another):")
    command = ["recombine", "doctor", "--address", "auto"]
    return submit(address=address, folder=directory, entrypoint=command, on_line=print_line)
