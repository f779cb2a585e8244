"""Counters of network devices: what every one has, over netlink, and what its driver counts."""

from __future__ import annotations

import array
import errno
import fcntl
import re
import socket
import struct
from collections.abc import Iterator

# include/uapi/linux/rtnetlink.h, if_link.h, netlink.h
_RTM_NEWLINK, _RTM_GETLINK = 16, 18
_NLM_F_REQUEST, _NLM_F_DUMP = 0x1, 0x300
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_IFLA_IFNAME, _IFLA_STATS64 = 3, 23
_HEADER, _IFINFO = struct.Struct("=IHHII"), struct.Struct("=BxHiII")
_ATTRIBUTE = struct.Struct("=HH")
_CHUNK = 1 << 16

# struct rtnl_link_stats64, in its order; so called in /sys/class/net/*/statistics as well
STATS = (
    *("rx_packets", "tx_packets", "rx_bytes", "tx_bytes", "rx_errors", "tx_errors"),
    *("rx_dropped", "tx_dropped", "multicast", "collisions", "rx_length_errors"),
    *("rx_over_errors", "rx_crc_errors", "rx_frame_errors", "rx_fifo_errors"),
    *("rx_missed_errors", "tx_aborted_errors", "tx_carrier_errors", "tx_fifo_errors"),
    *("tx_heartbeat_errors", "tx_window_errors", "rx_compressed", "tx_compressed"),
    *("rx_nohandler", "rx_otherhost_dropped"),
)

# include/uapi/linux/ethtool.h, sockios.h
_SIOCETHTOOL = 0x8946
_GSTRINGS, _GSTATS, _GSSET_INFO = 0x1B, 0x1D, 0x37
_SS_STATS = 1
_NAME_BYTES = 32

# rx0_drops, rx_queue_0_packets, rx-0.packets, queue_0_tx_cnt: each driver has its own way
_QUEUES = (
    re.compile(r"(?P<way>rx|tx)(?:-|[-_]?(?:queue|ring|q)[-_]?)?(?P<n>\d+)[-_.:]"),
    re.compile(r"queue_(?P<n>\d+)_(?P<way>rx|tx)_"),
    re.compile(r"(?P<way>rx|tx)(?:_queue)?_\w+?_(?P<n>\d+)$"),
)


def links() -> Iterator[tuple[int, str, dict[str, int]]]:
    """Index, name and counters of each device in the namespace of this thread. Errors: OSError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as asked:
        body = _IFINFO.pack(0, 0, 0, 0, 0)
        size = _HEADER.size + len(body)
        flags = _NLM_F_REQUEST | _NLM_F_DUMP
        asked.sendto(_HEADER.pack(size, _RTM_GETLINK, flags, 1, 0) + body, (0, 0))
        while True:
            data = asked.recv(_CHUNK)
            at = 0
            while at < len(data):
                length, kind, *_ = _HEADER.unpack_from(data, at)
                if kind == _NLMSG_DONE:
                    return
                if kind == _NLMSG_ERROR:
                    (code,) = struct.unpack_from("=i", data, at + _HEADER.size)
                    raise OSError(-code, "RTM_GETLINK")
                if kind == _RTM_NEWLINK:
                    yield _link(data[at + _HEADER.size : at + length])
                at += (length + 3) & ~3


def _link(message: bytes) -> tuple[int, str, dict[str, int]]:
    index = _IFINFO.unpack_from(message)[2]
    name, counters = "", {}
    at = _IFINFO.size
    while at + _ATTRIBUTE.size <= len(message):
        length, kind = _ATTRIBUTE.unpack_from(message, at)
        value = message[at + _ATTRIBUTE.size : at + length]
        if kind == _IFLA_IFNAME:
            name = value.rstrip(b"\0").decode(errors="backslashreplace")
        elif kind == _IFLA_STATS64:
            # those that an older kernel has not yet are missing at the end
            numbers = struct.unpack(f"={len(value) // 8}Q", value[: len(value) // 8 * 8])
            counters = dict(zip(STATS, numbers, strict=False))
        at += (max(length, _ATTRIBUTE.size) + 3) & ~3
    return index, name, counters


def driver_counters(asked: socket.socket, device: str) -> dict[str, int]:
    """What `ethtool -S` shows of a device; nothing where its driver counts nothing itself."""
    try:
        info = _ethtool(asked, device, struct.pack("=IIQI", _GSSET_INFO, 0, 1 << _SS_STATS, 0))
        _, _, mask, count = struct.unpack("=IIQI", info)
        if not mask or not count:
            return {}
        room = bytes(_NAME_BYTES * count)
        text = _ethtool(asked, device, struct.pack("=III", _GSTRINGS, _SS_STATS, count) + room)
        data = _ethtool(asked, device, struct.pack("=II", _GSTATS, count) + bytes(8 * count))
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.ENODEV, errno.EINVAL):
            return {}
        raise
    names = [text[12 + i * _NAME_BYTES :][:_NAME_BYTES].split(b"\0")[0] for i in range(count)]
    values = struct.unpack_from(f"={count}Q", data, 8)
    return {
        name.strip().decode(errors="backslashreplace"): value
        for name, value in zip(names, values, strict=True)
    }


def _ethtool(asked: socket.socket, device: str, request: bytes) -> bytes:
    data = array.array("B", request)
    address, _ = data.buffer_info()
    fcntl.ioctl(asked, _SIOCETHTOOL, struct.pack("16sP16x", device.encode(), address))
    return data.tobytes()


def queue_of(name: str) -> str:
    """`rx-0` of a driver's `rx0_drops`; nothing of a name that tells no queue."""
    for pattern in _QUEUES:
        found = pattern.match(name)
        if found:
            return f"{found['way']}-{found['n']}"
    return ""
