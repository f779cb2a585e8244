"""Texts of /proc/net that hold counters, as numbers by name; the names are those nstat prints."""

from __future__ import annotations

# net/core/net-procfs.c: softnet_seq_show(); columns 3 to 8 are always 0
SOFTNET = {
    0: "processed",
    1: "dropped",
    2: "time_squeeze",
    9: "received_rps",
    10: "flow_limit_count",
    11: "backlog_len",
    13: "input_qlen",
    14: "process_qlen",
}
_CPU = 12  # since Linux commit 7d58e6555870 (in v5.10)


def pairs(text: str) -> dict[str, int]:
    """Of snmp and netstat: lines in pairs, names and values; `Tcp:` stands before the names."""
    lines = text.splitlines()
    found = {}
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        prefix, *words = names.split()
        for word, value in zip(words, values.split()[1:], strict=True):
            found[prefix.removesuffix(":") + word] = int(value)
    return found


def lines(text: str) -> dict[str, int]:
    """Of snmp6: a name and its value a line."""
    return {name: int(value) for name, value in (line.split() for line in text.splitlines())}


def softnet(text: str) -> dict[tuple[int, str], int]:
    """Of softnet_stat: hexadecimal columns, a line for each CPU that is online."""
    found = {}
    for place, line in enumerate(text.splitlines()):
        columns = [int(word, 16) for word in line.split()]
        cpu = columns[_CPU] if len(columns) > _CPU else place
        for column, name in SOFTNET.items():
            if column < len(columns):
                found[cpu, "softnet_" + name] = columns[column]
    return found


def conntrack(text: str) -> dict[str, int]:
    """Of stat/nf_conntrack: a line of names, then hexadecimal columns, a line for each CPU.

    They are added up; `entries` is of all CPUs in every line.
    """
    first, *rest = text.splitlines()
    names = first.split()
    found = dict.fromkeys(names, 0)
    for line in rest:
        for name, word in zip(names, line.split(), strict=False):
            found[name] = int(word, 16) if name == "entries" else found[name] + int(word, 16)
    return found
