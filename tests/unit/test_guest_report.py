"""What is said of kernels that were tried in guests, of runs that are made up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.vm import inside, packages, report
from tests.vm.guest import Outcome
from tests.vm.packages import Kernel
from tests.vm.report import failed, lines, page, surprises
from tracer.probes import PROBES


def run(line: str, *tests: dict[str, Any], **refused: str) -> Outcome:
    """Of a kernel that takes every rung but those of a subject that is refused."""
    rungs = [
        {"subject": s.name, "rung": r.how, "costs": r.costs, "why": refused.get(s.name, "")}
        for s in PROBES
        for r in s.rungs
    ]
    kernel = Kernel(line, (), "", "")
    return Outcome(kernel, f"{line}.0", 100, rungs=rungs, tests=list(tests))


def tried(outcome: str, subject: str, rung: str, why: str = "") -> dict[str, Any]:
    return {"test": "t", "outcome": outcome, "why": why, "subject": subject, "rung": rung}


def cells(text: str, subject: str, rung: str) -> list[str]:
    (row,) = [line for line in text.splitlines() if line.startswith(f"| {subject} | {rung} |")]
    return [cell.strip() for cell in row.split("|")[3:-1]]


def test_a_rung_works_only_where_a_test_of_it_passed() -> None:
    text = page([run("1", tried("passed", "reset", "tp_btf")), run("2")])
    assert cells(text, "reset", "tp_btf") == ["works", "untested"]


def test_one_failed_test_among_others_is_a_failure() -> None:
    one = run("1", tried("passed", "reset", "tp_btf"), tried("failed", "reset", "tp_btf", "why"))
    assert cells(page([one]), "reset", "tp_btf") == ["FAILED"]
    assert failed(one)
    assert "1: failed: t: why" in lines([one])


def test_what_a_better_rung_would_not_cost_is_degraded() -> None:
    one = run("1", tried("passed", "drop", "raw_tp"), tried("passed", "accept", "tracepoint"))
    text = page([one])
    assert cells(text, "accept", "tracepoint") == ["degraded"]
    assert cells(text, "drop", "raw_tp") == ["works"]
    assert "- 1: drop by raw_tp costs: " in text


def test_what_cannot_be_is_degraded_with_its_reason() -> None:
    one = run("1", tried("passed", "reset", "tp_btf"))
    one.tests.append(tried("cannot", "reset", "tp_btf", "no reason is told"))
    text = page([one])
    assert cells(text, "reset", "tp_btf") == ["degraded"]
    assert "- 1: reset by tp_btf is degraded: no reason is told\n" in text
    assert not failed(one)


def test_a_limit_of_several_kernels_is_told_once() -> None:
    text = page([run("1", error="gone"), run("2", error="gone"), run("3", error="other")])
    assert cells(text, "error", "tp_btf") == ["impossible"] * 3
    assert text.count("- 1, 2: error by tp_btf is impossible: gone\n") == 1
    assert "- 3: error by tp_btf is impossible: other\n" in text


def test_a_run_of_some_tests_takes_the_place_of_what_was_known_of_these(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "KEPT", tmp_path)
    known = run("1", tried("failed", "reset", "tp_btf"), tried("passed", "error", "tp_btf"))
    known.tests[1]["test"] = "other"
    monkeypatch.setattr(report, "known", lambda: [known.kernel])
    report.keep(known, whole=True)
    report.keep(run("1", tried("passed", "reset", "tp_btf")), whole=False)
    (found,) = report.kept()
    assert {t["test"]: t["outcome"] for t in found.tests} == {"t": "passed", "other": "passed"}
    report.keep(run("1", tried("passed", "reset", "tp_btf")), whole=True)
    (found,) = report.kept()
    assert len(found.tests) == 1


def test_what_cannot_be_as_the_kernel_refuses_it_is_said_once() -> None:
    refused = run("1", tried("cannot", "reset", "tp_btf", "told so"), reset="no such hook")
    refused.tests.append({"test": "t", "outcome": "cannot", "why": "all of it", "subject": "reset"})
    text = page([refused])
    assert "- 1: reset by tp_btf is impossible: no such hook" in text
    assert "told so" not in text
    assert "all of it" not in text


def test_tests_of_what_the_kernel_refuses_are_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inside, "why_not", lambda rung: "" if rung.how == "raw_tp" else "no")
    asked = {
        ("accept",): True,
        ("accept", "fexit"): True,
        ("syn_drop",): False,
        ("syn_drop", "fexit"): True,
        ("syn_drop", "raw_tp"): False,
        (): False,
    }
    assert {args: inside.is_refused(pytest.mark.guest(*args).mark) for args in asked} == asked


def test_a_run_that_tested_nothing_failed() -> None:
    assert failed(run("1"))


def test_a_kernel_that_has_left_the_mirror_is_a_red_line_and_no_failure() -> None:
    gone = Outcome(Kernel("1", (), "", ""), "not there", 0, missing="no package fits")
    there = run("2", tried("passed", "reset", "tp_btf"))
    assert not failed(gone)
    assert cells(page([gone, there]), "reset", "tp_btf") == ["-", "works"]
    assert "1: not tried: no package fits" in lines([gone, there])
    assert "\x1b[31m1: not tried: no package fits\x1b[0m" in lines([gone, there], colours=True)


def test_the_written_table_has_a_line_for_what_there_was_nothing_to_try_of() -> None:
    gone = Outcome(Kernel("1", (), "", ""), "not there", 0, missing="no package fits")
    text = page([run("2", tried("passed", "reset", "tp_btf"))], [gone])
    assert "- **1: not tried: no package fits**\n" in text


def test_a_guest_that_ended_before_its_tests_is_told_with_what_it_tried() -> None:
    one = run("1", tried("passed", "reset", "tp_btf"))
    one.died = "it hung"
    assert "- 1: Linux 1.0: 1 passed, 100 s, it hung\n" in page([one])
    assert failed(one)


def test_what_a_rung_does_not_tell_makes_it_degraded_and_is_said_once() -> None:
    one = run("1", tried("passed", "reset", "tp_btf"), tried("cannot", "reset", "tp_btf", "so"))
    for row in one.rungs:
        row["lacks"] = "no errors" if row["subject"] == "reset" else ""
    text = page([one])
    assert cells(text, "reset", "tp_btf") == ["degraded"]
    assert "- 1: reset by tp_btf is degraded: no errors\n" in text
    assert "reset by tp_btf is degraded: so" not in text


def test_a_rung_that_is_refused_or_taken_unlike_it_is_listed_is_a_failure() -> None:
    one = run("1", tried("passed", "reset", "tp_btf"), error="gone")
    assert surprises(one) == ["error tp_btf is refused, which kernels.toml does not say: gone"]
    assert failed(one)
    one.kernel = replace(one.kernel, refuses=("error tp_btf",))
    assert not failed(one)
    one.kernel = replace(one.kernel, refuses=("error tp_btf", "task tp_btf"))
    assert surprises(one) == ["task tp_btf is taken, though kernels.toml says that it is refused"]
    assert f"1: {surprises(one)[0]}" in lines([one])


@pytest.mark.parametrize(
    ("came", "attach", "status", "said"),
    [
        ("passed", "tp_btf:a,b", "works", ""),
        ("passed", "tp_btf:a,b", "degraded", "doctor says reset degraded, tests say works"),
        ("cannot", "tp_btf:a,b", "works", "doctor says reset works, tests say degraded"),
        ("failed", "tp_btf:a,b", "works", ""),  # which is told as a failure
        ("passed", "-", "impossible", "doctor says reset impossible, tests say works"),
    ],
)
def test_doctor_has_to_say_what_the_tests_found(
    came: str, attach: str, status: str, said: str
) -> None:
    one = run("1", tried("passed", "reset", "tp_btf"), tried(came, "reset", "tp_btf"))
    one.doctor = [{"subject": "reset", "attach": attach, "status": status}]
    assert surprises(one) == ([said] if said else [])


def test_a_mirror_without_a_suite_is_told_from_a_network_that_is_down(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(packages, "BUILD", tmp_path)
    kernel = Kernel("1", ("gone",), "linux-image-1", "")
    for text, kind in ((packages.NO_SUITE, packages.GoneError), ("no route", RuntimeError)):

        def run(*command: str, text: str = text) -> str:
            raise RuntimeError(text)

        monkeypatch.setattr(packages, "run", run)
        with pytest.raises(RuntimeError) as caught:
            packages.Apt(kernel).newest()
        assert type(caught.value) is kind


def test_what_bcc_serves_has_rows_of_its_own_where_it_was_tried() -> None:
    one = run("1", tried("passed", "state", "bcc"), tried("cannot", "syn_drop", "bcc", "no place"))
    text = page([one, run("2")])
    assert cells(text, "state", "bcc") == ["works", "untested"]
    assert cells(text, "syn_drop", "bcc") == ["impossible", "untested"]
    assert "- 1: syn_drop by bcc is impossible: no place" in text
    assert "| reset | bcc |" not in text
