"""Errors of calls on TCP sockets that come of mistakes in a program, or hardly ever."""

from __future__ import annotations

from tracer.words.entry import Entry

_CONNECT, _ACCEPT = "connect(2)", "accept(2)"
_STRACE = ("strace -f -e trace=network -p PID",)

RARE: dict[str, Entry] = {
    "EBADF": Entry(
        "no open descriptor",
        "it was closed already, often by another thread",
        "the calls of the process: which close() came before",
        _STRACE,
        _ACCEPT,
    ),
    "ENOTSOCK": Entry(
        "the descriptor is of no socket",
        "its number was closed and given to a file",
        "what the descriptor is",
        ("ls -l /proc/PID/fd",),
        _ACCEPT,
    ),
    "EFAULT": Entry(
        "an address of memory that the process does not have",
        "a mistake of the program's",
        "the calls of the process",
        _STRACE,
        _ACCEPT,
    ),
    "EIO": Entry(
        "input or output failed",
        "of a socket hardly ever: a module or TLS offload",
        "the kernel's log",
        ("dmesg | tail",),
        "read(2)",
    ),
    "EOPNOTSUPP": Entry(
        "the socket cannot do that",
        "accept() on a socket that is no TCP, MSG_OOB or an option of another protocol",
        "the calls of the process",
        _STRACE,
        _ACCEPT,
        ("ENOTSUP",),
    ),
    "EAFNOSUPPORT": Entry(
        "the address is of another family than the socket",
        "an IPv6 socket given an IPv4 address or the reverse; IPv6 is off",
        "the calls of the process",
        _STRACE,
        _CONNECT,
    ),
    "EPROTOTYPE": Entry(
        "the socket is of another type than the protocol asks for",
        "a mistake of the program's",
        "the calls of the process",
        _STRACE,
        _CONNECT,
    ),
    "EPROTONOSUPPORT": Entry(
        "the kernel does not have that protocol",
        "socket() asked for MPTCP or another one that is not built in or is switched off",
        "the calls of the process",
        _STRACE,
        "socket(2)",
    ),
    "ESOCKTNOSUPPORT": Entry(
        "the kernel does not have that type of socket",
        "a mistake of the program's",
        "the calls of the process",
        _STRACE,
        _ACCEPT,
    ),
    "EDESTADDRREQ": Entry(
        "no address to send to",
        "of datagrams: a socket that is not connected",
        "the calls of the process",
        _STRACE,
        "send(2)",
    ),
    "ESHUTDOWN": Entry(
        "sent after shutdown(); Linux TCP says EPIPE instead",
        "a mistake of the program's",
        "the calls of the process",
        _STRACE,
        "errno(3)",
    ),
    "ENOSR": Entry(
        "no room; named by accept(2) beside ENOBUFS",
        "as ENOBUFS",
        "as of ENOBUFS",
        ("cat /proc/net/sockstat",),
        _ACCEPT,
    ),
    "ECANCELED": Entry(
        "a request of io_uring was called off",
        "the process, or its end, did so",
        "the calls of the process",
        _STRACE,
        "io_uring_prep_cancel(3)",
    ),
    "EISDIR": Entry(
        "read() of a directory; never of a socket",
        "the descriptor's number was closed and given to another file",
        "what the descriptor is",
        ("ls -l /proc/PID/fd",),
        "read(2)",
    ),
    "ENOSPC": Entry(
        "no room left: of a file that is written to, such as a recording; of a BPF map, all its"
        " places are taken",
        "a full disk",
        "the disk",
        ("df -h",),
        "write(2)",
    ),
    "EINVAL": Entry(
        "the call makes no sense as it stands",
        "accept() without listen(), listen() on a connected socket, a wrong length of an address;"
        " connect(): a blackhole route answers so",
        "the calls of the process, and the route",
        (*_STRACE, "ip route get ADDRESS"),
        "accept(2), bind(2)",
    ),
    "ENOPROTOOPT": Entry(
        "no such option; of a connection: an ICMP said that the peer does not speak the protocol",
        "an option this kernel does not know",
        "the calls of the process",
        _STRACE,
        "getsockopt(2), icmp(7)",
    ),
    "EALREADY": Entry(
        "connect() was called again while the first one still goes on",
        "the process does not wait for the first to end",
        "how long attempts take",
        ("tcptrace handshakes -d 10",),
        _CONNECT,
    ),
    "EISCONN": Entry(
        "the socket is connected already",
        "connect() was called twice, or sendto() with MSG_FASTOPEN on a socket that is connected",
        "the calls of the process",
        _STRACE,
        _CONNECT,
    ),
    "EMSGSIZE": Entry(
        "longer than can be sent at once",
        "of TCP only inside: the way takes smaller packets, and the kernel cuts smaller ones",
        "the way's MTU",
        ("ip route get ADDRESS", "ping -M do -s 1472 ADDRESS"),
        "send(2)",
    ),
}
