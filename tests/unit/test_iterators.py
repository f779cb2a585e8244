"""Work in network namespaces: one that goes at any moment, and what threads for it take."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tracer.kernel import iterators
from tracer.kernel.iterators import in_namespace, in_namespaces
from tracer.kernel.spent import spent_s

BUSY_S = 0.02


def test_a_name_whose_namespace_is_gone_is_as_one_that_is_gone_itself(tmp_path: Path) -> None:
    left_over = tmp_path / "name"
    left_over.touch()
    for path in (left_over, tmp_path / "gone"):
        with pytest.raises(FileNotFoundError):
            in_namespace(str(path), lambda: pytest.fail("it was entered"))


def test_what_is_done_in_other_namespaces_is_spent_by_whoever_asked_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(iterators, "_join", lambda path: None)  # that takes privileges
    begin_s, own_s = spent_s(), time.thread_time()
    took = in_namespaces(dict.fromkeys(range(4), ""), _busy)
    its, whole_s = time.thread_time() - own_s, spent_s() - begin_s
    assert whole_s - its >= sum(s for s in took.values() if isinstance(s, float)) >= 4 * BUSY_S
    assert os.cpu_count() == 1 or its < BUSY_S


def _busy() -> float:
    began = time.thread_time()
    while time.thread_time() - began < BUSY_S:
        pass
    return time.thread_time() - began
