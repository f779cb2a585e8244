"""Rules of packet filters that throw packets away, and their counters; nothing is changed by that.

Those of nftables are asked of `nft`, once the kernel says that there are any at all; those of the
older iptables of its own `iptables-save`, where a table of it is there.
"""

from __future__ import annotations

import errno
import os
import resource
import shutil
import socket
import struct
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

from tracer.kernel import iptables, iterators, nftables
from tracer.kernel.nftables import Row
from tracer.kernel.spent import add_helper

# include/uapi/linux/netlink.h, netfilter/nfnetlink.h, netfilter/nf_tables.h
_NETLINK_NETFILTER = 12
_NLM_F_REQUEST, _NLM_F_DUMP = 0x1, 0x300
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_GETTABLE = 10 << 8 | 1
_HEADER, _NFGENMSG = struct.Struct("=IHHII"), struct.Struct("=BBH")
_UNKNOWN = (errno.EINVAL, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT)

_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
_PATIENCE_S = 10.0
_OLDER = {"iptables": "ip_tables_names", "ip6tables": "ip6_tables_names"}
Read = tuple[list[Row], list[str]]  # rows, and why some are not among them


def read(wanted: set[int] | None) -> dict[str, Any]:
    """`rules`: rows by namespace, inode; `unseen`: what is not known there, in words.

    None: of all namespaces that a process is in or that have a name.
    """
    places = iterators.network_namespaces()
    asked = {inode: places[inode] for inode in places if wanted is None or inode in wanted}
    before = _spent_by_children()
    rules: dict[int, list[Row]] = {}
    unseen: dict[int, list[str]] = {}
    for inode, found in iterators.in_namespaces(asked, _read_here).items():
        if isinstance(found, OSError):
            unseen[inode] = [f"rules of packet filters: {os.strerror(found.errno or 0)}"]
        else:
            rules[inode], unseen[inode] = found
    add_helper(_spent_by_children() - before)
    return {"rules": rules, "unseen": {inode: why for inode, why in unseen.items() if why}}


def _spent_by_children() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def _read_here() -> Read:
    """Of the namespace that this thread is in."""
    rows: list[Row] = []
    unseen: list[str] = []
    if _may_be_there() and _has_tables():
        _ask("nft", shutil.which("nft", path=_PATH), ["-j", "list", "ruleset"], rows, unseen)
    for by, names in _OLDER.items():
        with suppress(OSError):
            if Path("/proc/thread-self/net", names).read_text():
                _ask(by, _older_save(by), ["-c"], rows, unseen)
    return rows, unseen


def _ask(
    by: str, program: str | None, options: list[str], rows: list[Row], unseen: list[str]
) -> None:
    if program is None:
        save = "" if by == "nft" else f" (its {by}-legacy-save)"
        unseen.append(f"there are rules of {by}{save}, which is not installed")
        return
    try:
        said = subprocess.run(
            [program, *options],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            process_group=0,  # a Ctrl-C is not for it
            timeout=_PATIENCE_S,
            check=True,
        ).stdout.decode(errors="backslashreplace")
        rows += nftables.parse(said) if by == "nft" else iptables.parse(said, by)
    except subprocess.CalledProcessError as error:
        why = error.stderr.decode(errors="backslashreplace").strip().partition("\n")[0]
        unseen.append(f"{by} failed: {why}")
    except subprocess.TimeoutExpired:
        unseen.append(f"{by} gave no answer in {_PATIENCE_S:.0f} s")
    except (AttributeError, LookupError, TypeError, ValueError):
        unseen.append(f"what {by} says is not understood")


def _older_save(by: str) -> str | None:
    """The one that reads the kernel's older tables; under the plain name either may be."""
    found = shutil.which(f"{by}-legacy-save", path=_PATH) or shutil.which(f"{by}-save", path=_PATH)
    name = os.path.basename(os.path.realpath(found)) if found else ""
    return found if "legacy" in name or name == "xtables-multi" else None


def _may_be_there() -> bool:
    """Whether asking loads nothing: a module that is not there has been given no rules."""
    try:
        loaded = Path("/proc/modules").read_text()
        built_in = Path("/lib/modules", os.uname().release, "modules.builtin").read_text()
    except OSError:
        return True  # all that this kernel has is in it, or nobody can say
    return "\nnf_tables " in f"\n{loaded}" or "/nf_tables.ko" in built_in


def _has_tables() -> bool:
    """Whether there is a table of nftables. Errors: OSError where that may not be asked."""
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as asked:
            asked.settimeout(_PATIENCE_S)
            size, flags = _HEADER.size + _NFGENMSG.size, _NLM_F_REQUEST | _NLM_F_DUMP
            asked.sendto(
                _HEADER.pack(size, _GETTABLE, flags, 1, 0) + _NFGENMSG.pack(0, 0, 0), (0, 0)
            )
            data = asked.recv(1 << 16)
    except OSError as error:
        if error.errno in _UNKNOWN:
            return False
        raise
    kind = _HEADER.unpack_from(data)[1]
    if kind == _NLMSG_ERROR:
        (code,) = struct.unpack_from("=i", data, _HEADER.size)
        if -code in _UNKNOWN:
            return False
        raise OSError(-code, os.strerror(-code))
    return bool(kind != _NLMSG_DONE)
