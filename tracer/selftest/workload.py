"""The connections of the self-test: two processes in a network namespace of their own.

The server listens three times, once with a queue of one and once behind a filter that lets nothing
through; the client connects, is refused, and knocks at the full queue and at the filter. All they
do is known before: OK, REFUSED, DROPPED and FILTERED say how often.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import socket
import struct
import time
from array import array
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from tracer.errors import NotPermittedError, TracerError
from tracer.kernel.namespaces import enter_new_network

OK, REFUSED, DROPPED, FILTERED = 11, 3, 3, 5
HELD_S = 0.02  # that finished connections wait for accept()
LIMIT_S = 2.0
START_S = 60  # within which all has to be attached: a busy machine takes its time
_HOST = "127.0.0.1"
_ATTACH_FILTER = 26  # SO_ATTACH_FILTER
_RETURN = 0x06  # BPF_RET | BPF_K


@dataclass(frozen=True)
class Account:
    """What the two say they did: moments are CLOCK_MONOTONIC, ns.

    `opened`: connect() was called first; `queued`: all that finished were in their queues;
    `accepts`: when each accept() was called and returned, by the client's port; `kernel`: the
    namespace's own counters.
    """

    opened: int
    queued: int
    accepts: dict[int, tuple[int, int]]
    kernel: dict[str, int]


class Workload:
    """The two processes, from the making of this to `close`. Errors: TracerError."""

    def __init__(self) -> None:
        heard, say = os.pipe()
        told, self._tell = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(heard)
            os.close(self._tell)
            _run(_serve, told, say)
        os.close(say)
        os.close(told)
        self._hear = heard
        try:
            found = self._read("the namespace")
        except TracerError:
            self.close()
            raise
        self.netns: int = found["netns"]
        self.server: int = found["server"]
        self.client: int = found["client"]
        self.ports: tuple[int, ...] = tuple(found["ports"])
        self.shut: int = found["shut"]  # one of them: nobody listens there

    def go(self) -> None:
        """Let them connect. Errors: TracerError, where they wait no longer."""
        try:
            os.write(self._tell, b"\n")
        except BrokenPipeError as error:
            raise TracerError(
                "the self-test's processes have ended before they were to connect",
                f"they wait {START_S} s for tracing to begin: try again where less is going on",
            ) from error

    def account(self) -> Account:
        """What they did, once they have. Errors: TracerError."""
        found = self._read("its connections")
        accepts = {port: (called, returned) for port, called, returned in found["accepts"]}
        return Account(found["opened"], found["queued"], accepts, found["kernel"])

    def _read(self, what: str) -> dict[str, Any]:
        if not select.select([self._hear], [], [], LIMIT_S)[0]:
            raise TracerError(f"the self-test waited {LIMIT_S:.0f} s in vain for {what}", "again")
        found: dict[str, Any] = json.loads(os.read(self._hear, 65536) or b'{"errno": 0}')
        if "errno" in found:
            cause = f"{what}: {found.get('says', 'its process ended')}"
            kind = NotPermittedError if found["errno"] == errno.EPERM else TracerError
            raise kind(
                f"the self-test cannot make {cause}",
                "it takes user namespaces, or CAP_SYS_ADMIN and CAP_NET_ADMIN",
            )
        return found

    def close(self) -> None:
        """End what is left of them; the namespace ends with them."""
        os.close(self._tell)
        os.close(self._hear)
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)  # the client ends as its pipe does
        os.waitpid(self.pid, 0)


# --- in the namespace ---------------------------------------------------------------


def _run(body: Any, told: int, say: int) -> NoReturn:
    try:
        signal.alarm(START_S + int(3 * LIMIT_S))  # whatever becomes of who made it
        body(told, say)
    except OSError as error:
        with suppress(OSError):
            _say(say, errno=error.errno, says=str(error))
    finally:
        os._exit(0)


def _say(fd: int, **facts: Any) -> None:
    os.write(fd, json.dumps(facts).encode())


def _wait(fd: int) -> None:
    if not os.read(fd, 1):
        os._exit(0)


def _serve(told: int, say: int) -> None:
    enter_new_network()
    client_told, to_client = os.pipe()
    from_client, client_says = os.pipe()
    client = os.fork()
    if client == 0:
        for fd in (to_client, from_client, told):
            os.close(fd)
        _run(_connect, client_told, client_says)
    for fd in (client_told, client_says):
        os.close(fd)
    every = open_, full, shut, filtered = [socket.socket() for _ in range(4)]
    for made in every:
        made.bind((_HOST, 0))
    ports = [made.getsockname()[1] for made in every]
    _refuse_all(filtered)
    _say(
        say,
        netns=os.stat("/proc/self/ns/net").st_ino,
        server=os.getpid(),
        client=client,
        ports=ports,
        shut=shut.getsockname()[1],
    )
    _wait(told)
    filtered.listen(FILTERED)
    open_.listen(OK)
    full.listen(0)  # room for one
    opened = time.monotonic_ns()
    _say(to_client, ports=ports)
    _wait_for(open_, OK - 1)
    _wait_for(full, 1)
    queued = time.monotonic_ns()
    os.write(to_client, b"\n")
    _wait(from_client)  # it has knocked at the full queue
    time.sleep(HELD_S)
    accepts, taken = [], []
    for listener in (*(open_,) * (OK - 1), full):
        called = time.monotonic_ns()
        made, peer = listener.accept()
        accepts.append((peer[1], called, time.monotonic_ns()))
        taken.append(made)
    os.write(to_client, b"\n")
    for made in taken:
        made.recv(1)  # the client has closed it
        made.close()
    for made in every:
        made.close()
    os.waitpid(client, 0)
    _say(say, opened=opened, queued=queued, accepts=accepts, kernel=_counters())
    # the namespace must last as long as the session: its number is given to another at once
    _wait(told)


def _refuse_all(made: socket.socket) -> None:
    """A filter of one instruction: keep no byte of any packet."""
    code = array("B", struct.pack("HBBI", _RETURN, 0, 0, 0))
    program = struct.pack("HxxxxxxQ", 1, code.buffer_info()[0])  # struct sock_fprog
    made.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, program)


def _wait_for(listener: socket.socket, count: int) -> None:
    """Until so many wait in its queue: TCP_INFO of a listener tells them as tcpi_unacked."""
    while True:
        info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        if int.from_bytes(info[24:28], "little") >= count:
            return
        time.sleep(0.0005)


def _connect(told: int, say: int) -> None:
    open_, full, shut, filtered = json.loads(os.read(told, 4096))["ports"]
    held = [socket.create_connection((_HOST, port)) for port in (*(open_,) * (OK - 1), full)]
    for _ in range(REFUSED):
        with suppress(ConnectionRefusedError), socket.create_connection((_HOST, shut)):
            raise OSError(errno.EISCONN, "connected to where nobody listens")
    _wait(told)  # the queue is full
    for port in (*(full,) * DROPPED, *(filtered,) * FILTERED):
        with socket.socket() as knocking:
            knocking.setblocking(False)
            with suppress(BlockingIOError):
                knocking.connect((_HOST, port))
    os.write(say, b"\n")
    _wait(told)
    for made in held:
        made.close()


def _counters() -> dict[str, int]:
    found: dict[str, int] = {}
    for name in ("snmp", "netstat"):
        lines = Path(f"/proc/self/net/{name}").read_text().splitlines()
        for names, values in zip(lines[::2], lines[1::2], strict=True):
            found |= dict(zip(names.split()[1:], map(int, values.split()[1:]), strict=True))
    wanted = ("ActiveOpens", "PassiveOpens", "ListenOverflows", "OutRsts")
    return {name: found[name] for name in wanted}
