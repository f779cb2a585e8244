"""What is said of runs that the kernel skipped."""

from __future__ import annotations

import pytest

from tracer.kernel import account
from tracer.kernel.account import Account


@pytest.mark.parametrize(("taken_up_late", "lost"), [(True, {}), (False, {"tt_state": 1})])
def test_a_skip_that_is_being_taken_up_is_waited_for_and_not_called_lost(
    monkeypatch: pytest.MonkeyPatch, taken_up_late: bool, lost: dict[str, int]
) -> None:
    skips, nested, waits = 0, 0, 0

    def wait() -> None:
        nonlocal nested, waits
        waits += 1
        nested += taken_up_late

    monkeypatch.setattr(Account, "_misses", lambda self, name: skips)
    monkeypatch.setattr(Account, "_nested", lambda self: nested)
    monkeypatch.setattr(account, "await_programs", wait)
    made = Account(None, None, ["tt_state"])  # type: ignore[arg-type]
    assert (made.missed(), waits) == ({}, 0)
    skips = 5
    nested = 4
    assert (made.missed(), waits) == (lost, 1)
    assert (made.missed(), waits) == (lost, 1)  # known by now
