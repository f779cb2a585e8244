"""Joining a network namespace whose name may go at any moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from tracer.kernel.iterators import in_namespace


def test_a_name_whose_namespace_is_gone_is_as_one_that_is_gone_itself(tmp_path: Path) -> None:
    left_over = tmp_path / "name"
    left_over.touch()
    for path in (left_over, tmp_path / "gone"):
        with pytest.raises(FileNotFoundError):
            in_namespace(str(path), lambda: pytest.fail("it was entered"))
