"""Every command of the README runs, and says what the README says it does."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import ROOT, wait_until

pytestmark = pytest.mark.kernel

COMMAND = Path(sys.executable).parent / "tcptrace"
BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
# what the examples name and a reader would put there
OWN = {"1234": str(os.getpid()), "./server": "true"}


def _commands(page: str) -> list[str]:
    text = "\n".join(BLOCK.findall((ROOT / page).read_text()))
    lines = [line.split("  #")[0].strip() for line in text.splitlines()]
    return [line for line in lines if line]


def _tcptrace(page: str) -> list[str]:
    return [line for line in _commands(page) if line.startswith("tcptrace")]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The examples build on each other: one makes the recording that another shows."""
    return tmp_path_factory.mktemp("readme")


@pytest.mark.parametrize("line", _tcptrace("README.md"))
def test_a_tcptrace_command_of_the_readme_runs(line: str, place: Path) -> None:
    words = [OWN.get(word, word) for word in shlex.split(line)[1:]]
    ready = place / "ready"
    ready.unlink(missing_ok=True)
    lives = "-r" not in words and words[0] not in ("doctor", "explain", "--help")
    waiting = ["--ready-file", str(ready)] if lives else []
    runs = words.index("--") if "--" in words else len(words)  # a program, which ends by itself
    process = subprocess.Popen(
        [str(COMMAND), *words[:runs], *waiting, *words[runs:]],
        cwd=place,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if lives:
        wait_until(lambda: ready.exists() or process.poll() is not None, "the start")
        if runs == len(words) and not _ends_by_itself(words):
            process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    shown = err if runs < len(words) else out
    assert shown or words[0] == "record" or "-j" in words or "-o" in words


def _ends_by_itself(words: list[str]) -> bool:
    return "--now" in words or ("--open" in words and "-i" not in words)


def test_the_readme_has_as_many_tcptrace_commands_as_it_shows() -> None:
    assert len(_tcptrace("README.md")) >= 11


def test_the_make_targets_that_are_shown_exist() -> None:
    listed = subprocess.run(["make", "help"], check=True, capture_output=True, text=True, cwd=ROOT)
    targets = {line.split()[0] for line in listed.stdout.splitlines() if line}
    shown = {
        line.split()[1]
        for page in ("README.md", "CONTRIBUTING.md", "tests/README.md")
        for line in _commands(page)
        if line.startswith("make ")
    }
    assert shown
    assert shown <= targets


def test_nothing_is_attached_afterwards_by_the_readmes_own_look() -> None:
    line = next(line for line in _commands("README.md") if line.startswith("bpftool"))
    subprocess.run([str(COMMAND), "events", "-d", "100ms"], check=True, capture_output=True)

    def gone() -> bool:
        looked = subprocess.run(["bash", "-c", line], check=True, capture_output=True, text=True)
        return looked.stdout.strip() == "nothing of tcptrace is attached"

    wait_until(gone, "the programs to be gone")


def test_make_run_passes_arguments_on() -> None:
    done = subprocess.run(
        ["make", "-s", "run", "ARGS=--version"],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.stdout.startswith("tcptrace 0.1.0 ")


def test_install_links_and_uninstall_takes_away(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    link = tmp_path / "bin" / "tcptrace"
    make = ["make", "-s", f"PREFIX={tmp_path}"]
    subprocess.run([*make, "install"], check=True, capture_output=True, cwd=ROOT)
    assert link.resolve().exists()
    subprocess.run([*make, "uninstall"], check=True, capture_output=True, cwd=ROOT)
    assert not link.is_symlink()


def test_the_second_setup_installs_and_builds_nothing() -> None:
    subprocess.run(["make", "-s", "setup"], check=True, capture_output=True, cwd=ROOT)
    again = subprocess.run(
        ["make", "--no-print-directory", "--question", "setup"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert (again.returncode, again.stdout) == (0, ""), again.stdout


def test_pip_builds_the_object_and_says_what_is_missing(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    listed = subprocess.run(
        ["git", "ls-files"], check=True, capture_output=True, text=True, cwd=ROOT
    )
    for name in listed.stdout.splitlines():
        if name.startswith(("bpf/", "tracer/")) or "/" not in name:
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_bytes((ROOT / name).read_bytes())
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(tree)]
    without = {**os.environ, "PATH": str(Path(sys.executable).parent)}
    refused = subprocess.run(pip, capture_output=True, text=True, env=without)
    assert refused.returncode != 0
    assert "apt-get install clang libbpf-dev" in refused.stderr + refused.stdout
    subprocess.run(pip, check=True, capture_output=True)
    wheel = next(tmp_path.glob("*.whl"))
    contents = subprocess.run(
        [sys.executable, "-m", "zipfile", "-l", str(wheel)],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "tracer/_bpf/tcptrace.bpf.o" in contents.stdout
