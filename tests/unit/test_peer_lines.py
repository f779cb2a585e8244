"""What the comparison reads in the output of each tool: of whom a line tells, and what was lost."""

from __future__ import annotations

import pytest

from tests.bench.peers.tools import TOOLS, Line, Tool

PORT = 1000
# a caller's end, an accepted end, and a line of another port, as each tool prints them
STATES = """\
ffff888156b31280 920     storm      127.0.0.1       0     127.0.0.1       1000  CLOSE       -> SYN_SENT    0.000
ffff888156b35c80 921     a b -> c   127.0.0.1       1000  127.0.0.1       25092 LISTEN      -> SYN_RECV    0.000
ffff888156b35c80 920     storm      127.0.0.1       7001  127.0.0.1       25092 LISTEN      -> SYN_RECV    0.000
"""  # noqa: E501
SHOWN = {
    "tcptrace events": """\
19:17:17.634894 state     127.0.0.1:*           127.0.0.1:1000        storm[920]               CLOSE -> SYN_SENT
19:17:17.634985 state     127.0.0.1:1000        127.0.0.1:25092       a b[921] (listener)      LISTEN -> SYN_RECV
19:17:17.635087 accept    127.0.0.1:1000        127.0.0.1:25092       a b[921]                 waited 93.8us
19:17:17.634985 state     127.0.0.1:7001        127.0.0.1:25092       a b[921] (listener)      LISTEN -> SYN_RECV
""",  # noqa: E501
    "bcc tcpstates": STATES,
    "libbpf-tools tcpstates": STATES,
    "libbpf-tools tcplife": """\
PID     COMM             LADDR           LPORT RADDR           RPORT TX_KB  RX_KB  MS
920     storm            127.0.0.1       0     127.0.0.1       1000  0.00   0.00   0.07
921     a b              127.0.0.1       1000  127.0.0.1       25092 0.00   0.00   0.15
921     storm            127.0.0.1       7001  127.0.0.1       25092 0.00   0.00   0.15
""",
    "bpftrace, printf": """\
Attaching 1 probe...
920 127.0.0.1 0 127.0.0.1 1000 7 2 storm
921 127.0.0.1 1000 127.0.0.1 25092 10 3 a b
921 127.0.0.1 7001 127.0.0.1 25092 10 3 a b
""",
}
SUMS = {
    "tcptrace states": "FIN_WAIT2 -> FIN_WAIT2 (mini-socket)  17  1.20us\nCLOSE -> LISTEN  2  -\n",
    "bpftrace, count()": "Attaching 1 probe...\n\n@[7, 2]: 17\n@[10, 3]: 2\n",
}
LOST = {
    "tcptrace record": "40 seen, 40 matched, 19 lost in 1s\n",
    "tcptrace events": "62 seen, 62 matched, 26 lost in 1s\n"
    "lost: 26 found the buffer full (7 accept, 19 state); larger ones: --buffer-pages N\n",
    "bcc tcpstates": "Possibly lost 17 samples\nPossibly lost 2 samples\n",
    "libbpf-tools tcpstates": "lost 17 events on CPU #0!\nlost 2 events on CPU #1!\n",
    "bpftrace, printf": "Lost 17 events\nLost 2 events\n",
}


def _tool(name: str) -> Tool:
    return next(tool for tool in TOOLS if tool.name == name)


@pytest.mark.parametrize("name", SHOWN)
def test_the_lines_of_a_port_are_read_with_process_and_ports(name: str) -> None:
    told = list(_tool(name).lines(SHOWN[name], PORT))
    assert told == [Line(920, 0, PORT), Line(921, PORT, 25092)]
    assert _tool(name).count(SHOWN[name], PORT) == 2


@pytest.mark.parametrize("name", SUMS)
def test_sums_are_added_up(name: str) -> None:
    assert _tool(name).count(SUMS[name], PORT) == 19


@pytest.mark.parametrize("name", LOST)
def test_what_a_tool_says_it_lost_is_added_up(name: str) -> None:
    assert _tool(name).told_lost(LOST[name]) == 19


def test_what_is_shown_and_what_is_summed_are_all_tools_but_the_recorder() -> None:
    assert {*SHOWN, *SUMS} == {tool.name for tool in TOOLS} - {"tcptrace record"}
