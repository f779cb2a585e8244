"""`python -m tests.vm [KERNEL …] [-- PYTEST-ARGUMENT …]`: boot each kernel, run the tests in it."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor

from tests.vm import report
from tests.vm.guest import VNG, try_kernel
from tests.vm.packages import BUILD, known


def main(arguments: list[str]) -> int:
    """Returns the exit status."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    asked, more = arguments[:at], arguments[at + 1 :]
    kernels = {kernel.line: kernel for kernel in known()}
    unknown = [line for line in asked if line not in kernels]
    if unknown:
        print(f"not in kernels.toml: {', '.join(unknown)}", file=sys.stderr)
        return 2
    if not VNG.exists():
        print("virtme-ng is missing: make test-kernels", file=sys.stderr)
        return 1
    # a guest has two CPUs of its own
    with ThreadPoolExecutor(max(1, (os.cpu_count() or 1) // 2)) as workers:
        wanted = [kernels[line] for line in asked or kernels]
        outcomes = list(workers.map(lambda kernel: try_kernel(kernel, more), wanted))
    print("\n".join(report.lines(outcomes, sys.stdout.isatty())))
    for outcome in outcomes:
        if outcome.rungs:  # else what was found of it before still holds
            report.keep(outcome, whole=not (more or outcome.died))
    missing = [outcome for outcome in outcomes if outcome.missing]
    (BUILD / "table.md").write_text(report.page(report.kept(), missing))
    # of one that is not to be had a line tells, and that is all: but something has to be tried
    return int(any(map(report.failed, outcomes)) or all(one.missing for one in outcomes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
