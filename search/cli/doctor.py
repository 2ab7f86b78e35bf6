"""`recombine doctor`."""

from __future__ import annotations

from pathlib import Path

from search.cli.console import print_line, print_table


def show_doctor(address: str | None) -> int:
    """Print every check with its fix; return 1 when one fails. Through a dashboard, the cluster then checks itself."""
    from cluster.doctor.run_checks import run_checks

    checks = run_checks(address)
    print_table("Checks", ["check", "status", "found"], [[c.name, c.status, c.detail] for c in checks])
    for check in checks:
        if check.status != "ok":
            print_line(f"{check.name}: {check.fix}")
    code = int(any(check.status == "fail" for check in checks))
    is_answering = any(check.name == "ray jobs" and check.status != "fail" for check in checks)
    return max(code, _run_there(str(address))) if is_answering else code


def _run_there(address: str) -> int:
    """The doctor as a job: only a process of the cluster can ask its nodes."""
    from cluster.submit import submit

    print_line("The same on the cluster, in this folder there:")
    command = ["recombine", "doctor", "--address", "auto"]
    return submit(address=address, folder=Path.cwd(), entrypoint=command, on_line=print_line)
