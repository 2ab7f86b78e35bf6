"""`recombine doctor`."""

from __future__ import annotations

from search.cli.console import print_line, print_table


def show_doctor(address: str | None) -> int:
    """Print every check with its fix; return 1 when one fails."""
    from cluster.doctor.run_checks import run_checks

    checks = run_checks(address)
    print_table("Checks", ["check", "status", "found"], [[c.name, c.status, c.detail] for c in checks])
    for check in checks:
        if check.status != "ok":
            print_line(f"{check.name}: {check.fix}")
    return int(any(check.status == "fail" for check in checks))
