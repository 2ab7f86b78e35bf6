from __future__ import annotations

import subprocess
import sys


def test_naming_the_report_loads_nothing_heavy() -> None:
    code = (
        "import sys, search.report; heavy = {'altair', 'pandas', 'scipy', 'vl_convert', 'jinja2', 'numpy'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
