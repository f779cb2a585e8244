"""`counters` of connection tracking and of CPUs: made to move by as much as the test knows."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import Namespace, Record, Tracer, namespace
from tests.kernel.test_counters import count as reading
from tests.programs.crafted import ACK, SYN, Host
from tests.programs.driver import Program
from tests.programs.places import ADDRESS, PORT, SHUT_PORT, add_silent_host, server_in

pytestmark = pytest.mark.kernel
CONNECTIONS, ASTRAY = 5, 17
RULES = """
table inet watched {
  chain came {
    type filter hook input priority 0
    ct state invalid counter drop
  }
}
"""


@pytest.fixture
def ns(tmp_path: Path) -> Iterator[Namespace]:
    """Whose connections are tracked, and only those that were seen to begin."""
    with namespace() as made:
        add_silent_host(made)
        rules = tmp_path / "rules"
        rules.write_text(RULES)
        made.run("nft", "-f", str(rules))
        made.run("sysctl", "-qw", "net.netfilter.nf_conntrack_tcp_loose=0")
        yield made


def of(records: list[Record], source: str) -> dict[str, Record]:
    return {r["name"]: r for r in records if r["source"] == source and r["total"]}


def test_connections_that_are_tracked_are_a_gauge_and_what_fits_none_is_counted(
    ns: Namespace,
) -> None:
    with (
        server_in(ns) as server,
        Program("tt-client", ns.enter) as client,
        Host(ns) as host,
        Tracer("counters", "--netns", ns.name, "-d", "60") as tracer,
    ):
        for i in range(CONNECTIONS):
            client.do("connect", name=f"c{i}", address=ADDRESS, port=PORT)
            server.do("accept", name=f"s{i}", listener="l")
        for i in range(ASTRAY):
            host.send(ACK, 20000 + i, SHUT_PORT)
        found = of(tracer.stop(), "conntrack")
        whole = of(reading("--netns", ns.name, "--all"), "conntrack")
        there = int(ns.run("cat", "/proc/sys/net/netfilter/nf_conntrack_count"))
        most = int(ns.run("cat", "/proc/sys/net/netfilter/nf_conntrack_max"))
    refused = re.search(r"counter packets (\d+)", ns.run("nft", "list", "ruleset"))
    assert refused is not None
    assert int(refused[1]) == ASTRAY == found["nf_conntrack_invalid"]["delta"]
    count = found["nf_conntrack_count"]
    assert (count["value"], count["gauge"]) == (there, True)
    assert there == CONNECTIONS
    assert (whole["nf_conntrack_count"]["value"], whole["nf_conntrack_max"]["value"]) == (
        there,
        most,
    )


def received(cpu: int) -> int:
    """Packets that another CPU left to this one, by the kernel's own file."""
    for line in Path("/proc/net/softnet_stat").read_text().splitlines():
        columns = [int(word, 16) for word in line.split()]
        if columns[12] == cpu:
            return columns[9]
    raise AssertionError(f"CPU {cpu} is not there")


def test_what_one_cpu_leaves_to_another_is_told_of_the_other(ns: Namespace) -> None:
    """Receive packet steering of the test's own device: nothing else here uses it."""
    mine = os.sched_getaffinity(0)
    here, there = sorted(mine)[:2]
    path = "/sys/class/net/near/queues/rx-0/rps_cpus"
    ns.run("sh", "-c", f"echo {1 << there:x} >{path}")
    with Host(ns) as host, Tracer("counters", "--netns", ns.name, "-d", "60") as tracer:
        before = received(there)
        os.sched_setaffinity(0, {here})
        try:
            for i in range(ASTRAY):
                host.send(SYN, 20000 + i, SHUT_PORT)
        finally:
            os.sched_setaffinity(0, mine)
        found = {
            (r["cpu"], r["name"]): r["delta"]
            for r in tracer.stop()
            if r["source"] == "softnet" and r["total"]
        }
        moved = received(there) - before
    # several that come at once are one request
    assert 0 < moved <= ASTRAY
    assert found[there, "softnet_received_rps"] == moved
    assert (here, "softnet_received_rps") not in found
    assert found[there, "softnet_processed"] >= ASTRAY
