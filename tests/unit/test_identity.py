"""Who asked for a run is what sudo says; what cannot be known is refused."""

from __future__ import annotations

import os

import pytest

from tracer.cli import identity
from tracer.cli.program import Program
from tracer.errors import TracerError


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for name in ("SUDO_UID", "SUDO_GID"):
        monkeypatch.delenv(name, raising=False)


def test_without_sudo_nobody_else_asked() -> None:
    assert identity.invoker() is None


def test_root_behind_sudo_is_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_UID", "0")
    assert identity.invoker() is None


def test_who_is_not_root_cannot_be_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("SUDO_UID", "4242")
    assert identity.invoker() is None


def test_a_user_without_a_name_has_its_group_and_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_UID", "4294900001")
    monkeypatch.setenv("SUDO_GID", "4294900002")
    found = identity.invoker()
    assert found
    assert (found.uid, found.gid, found.groups) == (4294900001, 4294900002, (4294900002,))
    assert found.environment == {b"HOME": b"/"}


@pytest.mark.parametrize("text", ["", "maria", "-1", "+1", "1.0", "4294967295", "٣", " 1"])
def test_a_number_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("SUDO_UID", text)
    with pytest.raises(TracerError, match="SUDO_UID"):
        identity.invoker()


def test_a_user_without_a_name_or_a_group_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_UID", "4294900001")
    with pytest.raises(TracerError, match="SUDO_GID"):
        identity.invoker()


def test_a_program_is_told_as_a_shell_would_be() -> None:
    assert Program(["sh", "-c", "echo hi"]).describe() == "-- sh -c 'echo hi'"
    assert len(Program(["x" * 500]).describe()) <= 63
