"""What the kernel's sock_diag says, and says that it cannot."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tracer.kernel import sock_diag

NOBODYS = 254  # a protocol for experiments (RFC 3692): no kernel has sockets of it


def test_a_listener_is_told_of_with_its_port_and_inode() -> None:
    told: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = sock_diag.dump(told.append)
        ours = found[found["lport"] == server.getsockname()[1]]
        assert f"socket:[{ours['inode'][0]}]" == link_of(server.fileno())
    assert told == []


def link_of(fd: int) -> str:
    """What /proc calls the descriptor."""
    return str(Path(f"/proc/self/fd/{fd}").readlink())


def test_that_the_kernel_tells_of_no_sockets_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "IPPROTO_TCP", NOBODYS)
    told: list[str] = []
    assert len(sock_diag.dump(told.append)) == 0
    assert told == [sock_diag.UNTOLD]
