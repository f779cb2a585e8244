"""A control group that is gone before anybody could look has its path all the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness import Namespace, Tracer
from tests.kernel.test_cgroup_filter import call, group, ns, server
from tests.kernel.test_loss import stopped
from tests.programs.driver import Program
from tests.programs.groups import remove

__all__ = ["group", "ns", "server"]  # fixtures
pytestmark = pytest.mark.kernel
SHORT_LIVED = 37


def test_a_group_that_was_made_and_removed_while_nobody_looked_has_its_path(
    ns: Namespace, group: Path, server: Program
) -> None:
    made = [group / f"run-{i}.scope" for i in range(SHORT_LIVED)]
    made += [group / "gone.slice" / "inner" / f"\N{SNOWMAN}-{i}.service" for i in range(3)]
    with Tracer("events", "--netns", ns.name) as tracer, stopped(tracer):
        for one in made:
            one.mkdir(parents=True)
            call(ns, one)
            remove(one)
            if one.parent != group:
                remove(one.parent)
                remove(one.parent.parent)
    opened = [r for r in tracer.records if r["kind"] == "handshake" and r["role"] == "active"]
    assert ns.counters()["TcpActiveOpens"] == len(made)
    assert [r["cgroup"] for r in opened] == [f"/{one.relative_to(group.parent)}" for one in made]
    assert not any(one.exists() for one in made)
