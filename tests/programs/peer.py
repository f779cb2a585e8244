"""One process of a test: it does what a line on stdin says, and says with its own PID what it did.

A command is a JSON object: `do` names a method of Peer below, the rest are its arguments; `to` is
the PID of a forked child that is to do it instead. An answer is one JSON line on stdout: `pid`,
`did`, what the method returned, and `errno` where a system call failed. A method that goes on
until it is told to stop is followed by the command `stop`. The end of stdin ends the process.

Imports nothing of the tree: what it says is what the kernel told it, and nobody else.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from errno import errorcode
from typing import Any

CLONE3 = 435  # the same on every architecture, as those of Landlock
PR_SET_NAME = 15
PR_SET_NO_NEW_PRIVS = 38
TCP_USER_TIMEOUT = 18
LANDLOCK_CREATE_RULESET, LANDLOCK_RESTRICT_SELF = 444, 446  # the same on every architecture
LANDLOCK_ACCESS_NET_CONNECT_TCP = 2
ETH_P_IP = 0x0800
SYN, RST, ACK = 0x02, 0x04, 0x10
MOST_FDS = 253  # SCM_MAX_FD
Facts = dict[str, Any]


def name_thread(name: str) -> None:
    """Name the calling thread; that of the main thread is the process's name."""
    if ctypes.CDLL(None).prctl(PR_SET_NAME, name.encode(), 0, 0, 0):
        raise OSError("prctl")


def lines(fd: int) -> Iterator[str]:
    """Lines of a descriptor, each read to its end and no further: select() sees the next one."""
    line = b""
    while piece := os.read(fd, 1):
        if piece == b"\n":
            yield line.decode()
            line = b""
        else:
            line += piece


def checksum(data: bytes) -> int:
    """The Internet checksum, RFC 1071, of an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def family_of(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _accept(listener: int) -> int:
    """The system call accept(); Python and libc's users have accept4() by now."""
    number = 43 if os.uname().machine == "x86_64" else 202
    found = ctypes.CDLL(None, use_errno=True).syscall(number, listener, None, None)
    if found < 0:
        raise OSError(ctypes.get_errno(), "accept")
    return int(found)


class Peer:
    """Sockets by the names the test gave them, and what can be done with them."""

    def __init__(self) -> None:
        self._input = 0
        self._sockets: dict[str, socket.socket] = {}
        self._children: dict[int, int] = {}  # pid -> where it reads its commands

    # --- the loop --------------------------------------------------------------

    def run(self) -> None:
        self._say("hello")
        fd = self._input
        while True:
            for line in lines(fd):
                self._obey(line)
                if fd != self._input:
                    break  # a child from here on
            else:
                break
            fd = self._input
        self._end()

    def _obey(self, line: str) -> None:
        command = json.loads(line)
        child = command.pop("to", 0)
        if child:
            os.write(self._children[child], json.dumps(command).encode() + b"\n")
            return
        what = command.pop("do")
        self._say(what, **self._do(what, command))

    def _do(self, what: str, arguments: Facts) -> Facts:
        try:
            return getattr(self, what)(**arguments) or {}
        except OSError as error:
            return {"errno": errorcode[error.errno] if error.errno else str(error)}

    def _say(self, did: str, **facts: Any) -> None:
        text = json.dumps({"pid": os.getpid(), "did": did} | facts) + "\n"
        os.write(1, text.encode())  # whole up to PIPE_BUF, whoever else writes

    def _told_to_stop(self, seconds: float = 0) -> bool:
        return bool(select.select([self._input], [], [], seconds)[0])

    def _end(self) -> None:
        for pid, pipe in self._children.items():
            os.close(pipe)
            os.waitpid(pid, 0)

    # --- the process ------------------------------------------------------------

    def fork(self) -> Facts:
        """Make a child with all that is open; it gets its commands through this process."""
        reading, writing = os.pipe()
        return self._part(os.fork(), reading, writing)

    def _part(self, child: int, reading: int, writing: int) -> Facts:
        if child:
            os.close(reading)
            self._children[child] = writing
            return {"child": child}
        for pipe in (writing, self._input, *self._children.values()):
            os.close(pipe)
        self._children.clear()
        self._input = reading
        return {}

    def fork_as(self, pid: int) -> Facts:
        """Make a child that has this PID, which must be free; it gets its commands as all do."""
        reading, writing = os.pipe()
        wanted = ctypes.c_int(pid)
        # struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack, its size,
        # tls, set_tid, and how many PIDs that are
        asked = (0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, ctypes.addressof(wanted), 1)
        arguments = (ctypes.c_uint64 * len(asked))(*asked)
        libc = ctypes.CDLL(None, use_errno=True)
        child = libc.syscall(CLONE3, arguments, ctypes.sizeof(arguments))
        if child < 0:
            raise OSError(ctypes.get_errno(), "clone3")
        return self._part(child, reading, writing)

    def exec_as(self, comm: str) -> None:
        """exec() under another name, with all that is open."""
        held = {name: held.fileno() for name, held in self._sockets.items()}
        for fd in (*held.values(), self._input):
            os.set_inheritable(fd, True)
        facts = json.dumps({"input": self._input, "sockets": held})
        os.execv(sys.executable, [sys.executable, __file__, comm, facts])

    def inherit(self, facts: str) -> None:
        """Take up what was open before an exec()."""
        found = json.loads(facts)
        self._input = found["input"]
        self._sockets = {name: socket.socket(fileno=fd) for name, fd in found["sockets"].items()}

    def thread(self, name: str, then: Facts) -> Facts:
        """Do `then` in a thread that has a name of its own."""
        facts: Facts = {}

        def body() -> None:
            name_thread(name)
            facts["tid"] = threading.get_native_id()
            facts.update(self._do(then.pop("do"), then))

        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        return facts

    def rename(self, name: str) -> None:
        """Be called this from here on."""
        name_thread(name)

    def become(self, uid: int) -> None:
        """Be this user from here on."""
        os.setuid(uid)

    def pin(self, cpu: int) -> None:
        os.sched_setaffinity(0, {cpu})

    def spin(self) -> None:
        """Be the process that runs on this CPU until told to stop."""
        while not self._told_to_stop():
            sum(range(10000))

    # --- packets without a socket ------------------------------------------------

    def watch(self, device: str) -> None:
        """From here on keep the SYN-ACKs that come in at this device."""
        self._seen = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
        self._seen.bind((device, ETH_P_IP))

    def send_syns(self, source: str, address: str, port: int, first: int, count: int) -> None:
        """SYNs from so many ports of a host that is not there."""
        self._send(source, address, port, {first + i: (1, 0) for i in range(count)}, SYN)

    def send_acks(self, source: str, address: str, port: int, first: int, count: int) -> Facts:
        """The ACKs that finish the handshakes begun, for the SYN-ACKs seen by now."""
        wanted = set(range(first, first + count))
        answers: dict[int, tuple[int, int]] = {}
        self._seen.settimeout(5)
        while answers.keys() != wanted:
            packet = self._seen.recv(2048)
            tcp = packet[(packet[0] & 15) * 4 :]
            _, to, sequence, _, _, flags = struct.unpack_from("!HHIIBB", tcp)
            if flags == SYN | ACK and to in wanted:
                answers[to] = (2, sequence + 1 & 0xFFFFFFFF)
        self._send(source, address, port, answers, ACK)
        return {"sent": len(answers)}

    def send_resets(self, source: str, address: str, port: int, first: int, count: int) -> None:
        """RSTs that end the handshakes begun."""
        self._send(source, address, port, {first + i: (2, 0) for i in range(count)}, RST)

    def _send(
        self, source: str, address: str, port: int, which: dict[int, tuple[int, int]], flags: int
    ) -> None:
        ends = socket.inet_aton(source) + socket.inet_aton(address)
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 40, 0, 0, 64, socket.IPPROTO_TCP, 0) + ends
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as out:
            for local, (sequence, acked) in which.items():
                numbers = (local, port, sequence, acked, 5 << 4, flags, 65535)
                tcp = struct.pack("!HHIIBBHHH", *numbers, 0, 0)
                checked = checksum(ends + struct.pack("!HH", socket.IPPROTO_TCP, 20) + tcp)
                out.sendto(ip + tcp[:16] + struct.pack("!H", checked) + tcp[18:], (address, 0))

    def stop(self) -> None:
        """Nothing: that a command came is what ends the one before."""

    # --- one socket -------------------------------------------------------------

    def bind(self, name: str, address: str, port: int = 0, share: bool = False) -> Facts:
        made = socket.socket(family_of(address))
        if share:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if address == "::":
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        made.bind((address, port))
        self._sockets[name] = made
        return {"port": made.getsockname()[1]}

    def defer_accept(self, name: str, seconds: int) -> None:
        self._sockets[name].setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, seconds)

    def listen(self, name: str, backlog: int = 128) -> None:
        self._sockets[name].listen(backlog)

    def connect(self, name: str, address: str, port: int) -> Facts:
        made = socket.socket(family_of(address))
        self._sockets[name] = made
        made.connect((address, port))
        return {"port": made.getsockname()[1], "peer": made.getpeername()[1]}

    def accept(self, name: str, listener: str) -> Facts:
        self._sockets[name], peer = self._sockets[listener].accept()
        return {"peer": peer[1]}

    def send(self, name: str, count: int = 1) -> None:
        self._sockets[name].sendall(b"x" * count)

    def send_each(self, name: str, count: int, times: int) -> None:
        """Send so often, each time in a segment of its own."""
        made = self._sockets[name]
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(times):
            made.sendall(b"x" * count)

    def send_what_fits(self, name: str) -> Facts:
        """Send until the socket takes no more; tells how many bytes it took."""
        made = self._sockets[name]
        made.setblocking(False)
        count = 0
        try:
            while True:
                count += made.send(b"x" * 65536)
        except BlockingIOError:
            return {"bytes": count}

    def receive(self, name: str, count: int = 100) -> Facts:
        return {
            "bytes": len(self._sockets[name].recv(count, socket.MSG_WAITALL if count > 100 else 0))
        }

    def limit_room(self, name: str, count: int) -> None:
        """Set SO_RCVBUF: the kernel doubles it, and sizes the buffer no more."""
        self._sockets[name].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, count)

    def limit_send_room(self, name: str, count: int) -> None:
        """The same of SO_SNDBUF."""
        self._sockets[name].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, count)

    def trickle(self, name: str, count: int, every_s: float) -> None:
        """Send so many bytes again and again, with a pause before each, until stopped."""
        while not self._told_to_stop(every_s):
            self._sockets[name].sendall(b"x" * count)

    def send_from_many(self, address: str, first: int, count: int) -> Facts:
        """An empty datagram each between so many pairs of ports, from the `first` pair on.

        Tells how many the kernel took.
        """
        sent = 0
        for source in range(first // 60000, (first + count - 1) // 60000 + 1):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
                made.bind((address, 2000 + source))
                begin = max(first, source * 60000)
                for pair in range(begin, min(first + count, (source + 1) * 60000)):
                    with suppress(OSError):
                        made.sendto(b"", (address, 3000 + pair % 60000))
                        sent += 1
        return {"sent": sent}

    def pour(self, name: str) -> None:
        """Send as fast as it goes, until stopped."""
        made = self._sockets[name]
        made.setblocking(False)
        while True:
            ready = select.select([self._input], [made], [])
            if ready[0]:
                made.setblocking(True)
                return
            made.send(b"x" * 65536)

    def drain(self, name: str) -> Facts:
        """Read all there is, to the end; tells how many bytes, and in which time."""
        made = self._sockets[name]
        began, count = time.monotonic(), 0
        while piece := len(made.recv(1 << 20)):
            count += piece
        return {"bytes": count, "seconds": time.monotonic() - began}

    def keep_alive(self, name: str, idle: int, interval: int, probes: int) -> None:
        made = self._sockets[name]
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, idle)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, interval)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, probes)

    def number(self, name: str) -> Facts:
        """A socket's descriptor."""
        return {"fd": self._sockets[name].fileno()}

    def half_close(self, name: str) -> None:
        self._sockets[name].shutdown(socket.SHUT_WR)

    def shut(self, name: str) -> None:
        """Shut it down both ways, and keep it."""
        self._sockets[name].shutdown(socket.SHUT_RDWR)

    def wait_not_for_fin(self, name: str) -> None:
        """Have close() in FIN_WAIT2 break it off."""
        self._sockets[name].setsockopt(socket.IPPROTO_TCP, socket.TCP_LINGER2, -1)

    def limit_time(self, name: str, limit_ms: int) -> None:
        """Have the kernel give up what is not acknowledged for so long."""
        self._sockets[name].setsockopt(socket.IPPROTO_TCP, TCP_USER_TIMEOUT, limit_ms)

    def error(self, name: str) -> Facts:
        """Wait until there is something to be told; `error` is what SO_ERROR says."""
        made = self._sockets[name]
        poll = select.poll()
        poll.register(made, 0)  # errors and hang-ups alone
        poll.poll(20_000)
        number = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return {"error": errorcode[number] if number else "OK"}

    def close(self, name: str) -> None:
        self._sockets.pop(name).close()

    def give_away(self, name: str, through: str, keep: bool = False) -> None:
        """Pass a descriptor to another process, and keep none if not told to."""
        with socket.socket(socket.AF_UNIX) as carrier:
            carrier.connect(through)
            socket.send_fds(carrier, [b"x"], [self._sockets[name].fileno()])
        if not keep:
            self.close(name)

    def wait_for_gift(self, through: str) -> None:
        self._sockets["carrier"] = socket.socket(socket.AF_UNIX)
        self._sockets["carrier"].bind(through)
        self._sockets["carrier"].listen()

    def take(self, name: str) -> None:
        carrier, _ = self._sockets.pop("carrier").accept()
        with carrier:
            _, fds, _, _ = socket.recv_fds(carrier, 1, 1)
        self._sockets[name] = socket.socket(fileno=fds[0])

    def give_all_away(self, through: str, keep: bool = False) -> None:
        """Pass on all that hold() and accept_waiting() left open."""
        names = self._many()
        with socket.socket(socket.AF_UNIX) as carrier:
            carrier.connect(through)
            socket.send_fds(carrier, [b"x"], [self._sockets[name].fileno() for name in names])
        if not keep:
            self.let_go()

    def take_all(self) -> Facts:
        """Take what is passed on; returns the peers' ports."""
        carrier, _ = self._sockets.pop("carrier").accept()
        with carrier:
            _, fds, _, _ = socket.recv_fds(carrier, 1, MOST_FDS)
        taken = [socket.socket(fileno=fd) for fd in fds]
        peers = [held.getpeername()[1] for held in taken]
        self._sockets |= {f"taken:{held.fileno()}": held for held in taken}
        return {"peers": peers}

    # --- one attempt ------------------------------------------------------------

    def begin(self, name: str, address: str, port: int, retries: int = 0) -> Facts:
        """Begin to connect without waiting, on a socket that bind() made or on a new one."""
        made = self._sockets.setdefault(name, socket.socket(family_of(address)))
        if retries:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, retries)
        made.setblocking(False)
        return self.again(name, address, port)

    def again(self, name: str, address: str, port: int) -> Facts:
        """Call connect() on a socket that is there; `said` is how that went."""
        error = self._sockets[name].connect_ex((address, port))
        return {"said": errorcode[error] if error else "OK"} | self._local(name)

    def _local(self, name: str) -> Facts:
        return {"port": self._sockets[name].getsockname()[1]}

    def give_up_by_connect(self, name: str) -> None:
        """connect() to AF_UNSPEC: the socket lets go of what it was doing and can be used again."""
        nowhere = ctypes.create_string_buffer(16)
        if ctypes.CDLL(None).connect(self._sockets[name].fileno(), nowhere, 16):
            raise OSError("connect")

    def wait_writable(self, name: str) -> None:
        """Wait until an attempt has ended, and do not ask how."""
        select.select([], [self._sockets[name]], [], 10)

    def settle(self, name: str) -> Facts:
        """Wait until an attempt has ended; `error` is what SO_ERROR says of it."""
        self.wait_writable(name)
        error = self._sockets[name].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return {"error": errorcode[error] if error else "OK"}

    def wait_in_vain(self, name: str, limit_ms: int) -> Facts:
        """Give an attempt so long, as an application with a timeout of its own does."""
        return {"ended": bool(select.select([], [self._sockets[name]], [], limit_ms / 1000)[1])}

    def forbid_connects(self) -> None:
        """Have Landlock refuse every connect() from here on."""
        libc = ctypes.CDLL(None, use_errno=True)
        rules = (ctypes.c_uint64 * 2)(0, LANDLOCK_ACCESS_NET_CONNECT_TCP)
        fd = libc.syscall(LANDLOCK_CREATE_RULESET, rules, ctypes.c_size_t(16), 0)
        if (
            fd < 0
            or libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
            or libc.syscall(LANDLOCK_RESTRICT_SELF, fd, 0)
        ):
            raise OSError(ctypes.get_errno(), "Landlock")

    # --- many -------------------------------------------------------------------

    def accept_waiting(self, listener: str) -> Facts:
        """Accept, and hold, all that waits now."""
        queue = self._sockets[listener]
        queue.setblocking(False)
        peers = []
        try:
            while True:
                accepted, peer = queue.accept()
                self._sockets[f"{listener}:{peer[1]}"] = accepted
                peers.append(peer[1])
        except BlockingIOError:
            return {"peers": peers}
        finally:
            queue.setblocking(True)

    def serve(self, listener: str) -> Facts:
        """Accept, answer one byte, read to the end, close; one after the other, until stopped."""
        queue = self._sockets[listener]
        queue.setblocking(False)
        peers: list[int] = []
        while True:
            ready, _, _ = select.select([queue.fileno(), self._input], [], [])
            if self._input in ready:
                return {"peers": peers}
            try:
                accepted, peer = queue.accept()
            except BlockingIOError:
                continue  # another worker was faster
            with accepted:
                accepted.setblocking(True)
                accepted.sendall(accepted.recv(1))
                accepted.recv(1)
            peers.append(peer[1])

    def accept_some(self, listener: str, count: int, old_call: bool = False) -> Facts:
        """Accept and hold so many, waiting for each; by accept4(), or by the older accept()."""
        queue = self._sockets[listener]
        peers = []
        for _ in range(count):
            if old_call:
                taken = socket.socket(fileno=_accept(queue.fileno()))
            else:
                taken, _ = queue.accept()
            peers.append(taken.getpeername()[1])
            self._sockets[f"{listener}:{peers[-1]}"] = taken
        return {"peers": peers}

    def accept_by_epoll(self, listener: str, count: int) -> Facts:
        """Accept and hold so many, told of each by epoll; none is waited for in accept()."""
        queue = self._sockets[listener]
        queue.setblocking(False)
        peers: list[int] = []
        with select.epoll() as poll:
            poll.register(queue, select.EPOLLIN)
            while len(peers) < count:
                poll.poll()
                peers += self.accept_waiting(listener)["peers"]
                queue.setblocking(False)
        queue.setblocking(True)
        return {"peers": peers}

    def accept_in_threads(self, listener: str, counts: list[int]) -> Facts:
        """Threads that wait in accept() of one listener, each for so many."""
        found: list[Facts] = []
        threads = [
            threading.Thread(target=lambda n=n: found.append(self.accept_some(listener, n)))
            for n in counts
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return {"peers": [peer for facts in found for peer in facts["peers"]]}

    def accept_slowly(self, listener: str, pauses_us: list[int], awake: bool = False) -> Facts:
        """Hold each accept() back for so long; tells (peer, called, returned) by its own clock.

        Staying `awake` meanwhile: a CPU that slept takes its time until the clock is read.
        """
        queue = self._sockets[listener]
        log = []
        for pause in pauses_us:
            until = time.monotonic_ns() + pause * 1000
            while awake and time.monotonic_ns() < until:
                pass
            time.sleep(max(0, until - time.monotonic_ns()) / 1e9)
            called = time.monotonic_ns()
            taken, peer = queue._accept()  # type: ignore[attr-defined]  # a socket made of it takes a while
            log.append((peer[1], called, time.monotonic_ns()))
            os.close(taken)
        return {"log": log}

    def accept_without_room(self, listener: str, count: int, keep: bool = False) -> Facts:
        """Call accept() so often while no descriptor is free; tells how each call failed.

        With `keep` there is no room afterwards either.
        """
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        free = os.dup(self._input)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
        try:
            failed = [self._do("accept", {"name": "a", "listener": listener}) for _ in range(count)]
        finally:
            if not keep:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        return {"failed": [facts["errno"] for facts in failed], "limit": free}

    def watch_queue(self, listener: str, every_us: int) -> Facts:
        """Look how long the accept queue is until told to stop: its mean over time, and the span.

        TCP_INFO of a listener has the length in tcpi_unacked.
        """
        queue = self._sockets[listener]
        began = before = time.monotonic_ns()
        area = depth = 0
        while not self._told_to_stop(every_us / 1e6):
            now = time.monotonic_ns()
            area += depth * (now - before)
            info = queue.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
            before, depth = now, struct.unpack_from("I", info, 24)[0]
        return {"mean": area / (before - began), "span_ns": before - began}

    def reset(self, name: str) -> None:
        """Close with an RST."""
        made = self._sockets.pop(name)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        made.close()

    def connect_timed(self, address: str, port: int, pauses_us: list[int]) -> Facts:
        """Connect and hold, with pauses; tells (port, called, returned) by its own clock."""
        log = []
        for pause in pauses_us:
            time.sleep(pause / 1e6)
            made = socket.socket(family_of(address))
            called = time.monotonic_ns()
            made.connect((address, port))
            returned = time.monotonic_ns()
            log.append((made.getsockname()[1], called, returned))
            self._sockets[f"held:{log[-1][0]}"] = made
        return {"log": log}

    def call(self, address: str, port: int, count: int, half: bool = False) -> Facts:
        """Connect, exchange a byte, close; with `half` only once the other side has closed too."""
        ports = []
        fds = set()
        for _ in range(count):
            with socket.create_connection((address, port)) as made:
                ports.append(made.getsockname()[1])
                fds.add(made.fileno())
                made.sendall(b"x")
                made.recv(1)
                if half:
                    made.shutdown(socket.SHUT_WR)
                    made.recv(1)
        return {"ports": ports, "fds": sorted(fds)}

    def hold(self, address: str, port: int, count: int) -> Facts:
        """Connect that often; what succeeded stays open. Tells the failures by errno."""
        failures: dict[str, int] = {}
        ports = []
        for _ in range(count):
            made = socket.socket(family_of(address))
            try:
                made.connect((address, port))
            except OSError as error:
                name = errorcode[error.errno or 0]
                failures[name] = failures.get(name, 0) + 1
                made.close()
            else:
                ports.append(made.getsockname()[1])
                self._sockets[f"held:{ports[-1]}"] = made
        return {"ports": ports, "failures": failures}

    def let_go(self) -> None:
        """Close all that hold() and accept_waiting() left open."""
        for name in self._many():
            self.close(name)

    def send_all(self) -> None:
        """A byte on all that hold() left open."""
        for name in self._many():
            self._sockets[name].sendall(b"x")

    def receive_all(self) -> Facts:
        """What there is to read on each of them, or its end."""
        return {"bytes": [len(self._sockets[name].recv(100)) for name in self._many()]}

    def half_close_all(self) -> None:
        for name in self._many():
            self.half_close(name)

    def _many(self) -> list[str]:
        return [name for name in self._sockets if ":" in name]

    def give_up(self, address: str, port: int, count: int) -> Facts:
        """Begin to connect and close without an answer."""
        started = []
        for _ in range(count):
            made = socket.socket(family_of(address))
            made.setblocking(False)
            started.append(errorcode[made.connect_ex((address, port))])
            made.close()
        return {"started": started}

    def time_out(self, address: str, port: int, count: int, limit_ms: int) -> Facts:
        """Connect to where nobody answers, until the kernel gives each of them up."""
        waiting = []
        for _ in range(count):
            made = socket.socket(family_of(address))
            made.setsockopt(socket.IPPROTO_TCP, TCP_USER_TIMEOUT, limit_ms)
            made.setblocking(False)
            made.connect_ex((address, port))
            waiting.append(made)
        errors = []
        while waiting:
            _, ready, _ = select.select([], waiting, [])
            for made in ready:
                error = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                errors.append(errorcode.get(error, str(error)))
                waiting.remove(made)
                made.close()
        return {"errors": errors}


if __name__ == "__main__":
    name_thread(sys.argv[1])
    peer = Peer()
    if sys.argv[2:]:
        peer.inherit(sys.argv[2])
    peer.run()
