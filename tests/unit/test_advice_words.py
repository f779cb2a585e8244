"""What findings tell to do can be done, says what it costs, and is nothing that never helps."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace

import pytest

from tests.unit import test_advice as servers
from tests.unit import test_advice_lasting as lasting
from tests.unit import test_advice_network as network
from tests.unit import test_packet_filters as filters
from tracer import cli
from tracer.advice import lost_before
from tracer.advice.evidence import Attempted, LostBefore
from tracer.advice.failed_connects import FAILURES
from tracer.advice.finding import Finding
from tracer.advice.rules import RULES, judge
from tracer.cli import looking, setup
from tracer.explain.glossary import lookup

NEVER = ("tcp_tw_recycle", "tcp_tw_reuse=2", "somaxconn=65535", "tcp_fin_timeout=1 ")
TRACKED = {"nf_conntrack_count": "1000", "nf_conntrack_max": "1000", "tcp_max_tw_buckets": "1000"}
GROWN = {"TCPTimeWaitOverflow": 9, "RetransSegs": 900, "OutSegs": 5000, "RcvPruned": 50}


def all_findings() -> list[Finding]:
    """One of each rule at least, of a machine where all is wrong."""
    attempts = [Attempted(network.CALLER, "10.0.0.9", 5432, {one: 9}) for one in FAILURES]
    evidence = replace(
        servers.WATCHED,
        closings=(servers.LEAK,),
        listenings=(servers.FULL, servers.FLOODED),
        ports=(servers.TAKEN,),
        refused=(servers.REFUSED,),
        unread=(servers.UNREAD,),
        held_back=(
            network.STALLED,
            replace(network.STALLED, by="sndbuf", per_s=5e6),
            replace(network.STALLED, by="application", per_s=5e6),
        ),
        attempted=tuple(attempts),
        lost_before=(LostBefore("CPU 1", "", dict.fromkeys(lost_before.WORDS, 20)),),
        broken_off=(replace(network.BROKEN, unread=20),),
        filtered=(filters.PLACE, replace(filters.PLACE, owned=20)),
        spaces=(replace(network.SPACE, grown=GROWN, settings=TRACKED),),
        silent=(lasting.SILENT, replace(lasting.SILENT, unanswered=3)),
        forgotten=(lasting.FORGOTTEN,),
        half_closed=(lasting.HELD,),
        ownerless=(lasting.OWNERLESS, replace(lasting.OWNERLESS, waiting=0, orphans=4000)),
        receiving=(lasting.RECEIVING, replace(lasting.RECEIVING, is_set=False, grows=False)),
        unheard=(lasting.UNHEARD, replace(lasting.UNHEARD, opened_by=None)),
    )
    return list(judge(evidence).findings)


FOUND = all_findings()
COMMANDS = sorted({line for one in FOUND for line in one.see if line.startswith("tcptrace ")})


def test_every_rule_finds_its_trouble_on_a_machine_where_all_is_wrong() -> None:
    assert {one.id for one in FOUND} == {rule.name for rule in RULES}


@pytest.mark.parametrize("one", FOUND, ids=lambda one: one.id)
def test_a_finding_is_whole_and_names_no_setting_that_is_not_explained(one: Finding) -> None:
    assert all((one.title, one.where, one.shown, one.meaning, one.fix, one.risk, one.see))
    assert not any(never in text for text in one.fix for never in NEVER)
    texts = " ".join((one.title, one.shown, one.meaning, *one.fix, one.risk))
    for name in re.findall(r"\bnet\.(?:ipv4|core|netfilter)\.[a-z_0-9]+", texts):
        assert lookup(name, "sysctls"), name
    for word in re.findall(r"\bE[A-Z]{3,}\b", texts):
        assert lookup(word, "errnos"), word


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_that_a_finding_tells_is_one(
    line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Read to where it would trace."""
    for place, name in ((setup.Command, "run"), (looking, "look"), (looking, "count")):
        monkeypatch.setattr(place, name, lambda *given: None)
    assert cli.run(shlex.split(line)[1:]) == 0, capsys.readouterr().err
