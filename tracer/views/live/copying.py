"""What `y`, `J` and `w` copy: to the clipboard where the terminal takes it, else into a file."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

from tracer.errors import TracerError
from tracer.views.columns import Facts, document, rows
from tracer.views.live.story import Story
from tracer.wire.batch import Batch
from tracer.wire.recording import create

REFUSES = ("linux", "vt", "dumb", "unknown", "screen")


def takes_clipboard() -> bool:
    """Whether the terminal can be expected to take OSC 52: none of them answers."""
    if os.environ.get("TMUX"):
        command = ["tmux", "show-options", "-gv", "set-clipboard"]
        try:
            told = subprocess.run(command, capture_output=True, text=True, timeout=1, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return False
        return told.stdout.strip() == "on"  # `external` takes it from tmux itself alone
    return not os.environ.get("TERM", "dumb").startswith(REFUSES)


def into_file(text: str, ending: str) -> str:
    """Write a new file in the working directory; returns what there is to say of it."""
    name = time.strftime(f"tcptrace-%Y%m%d-%H%M%S{ending}")
    path = Path.cwd() / name
    try:
        with os.fdopen(create(path, force=True), "w", errors="backslashreplace") as file:
            file.write(text)
    except (OSError, TracerError) as error:
        return f"cannot write {name}: {error}"
    return f"wrote {name} in {path.parent}"


def as_json(story: Story, facts: Facts) -> str:
    """A connection's events, one record a line, as `events -j` has them."""
    plain = {kind: rows(found, kind) for kind, found in story.records.items()}
    if not plain:
        return ""
    documents = [document(kind, plain[kind][i], facts) for kind, i in Batch(story.records).order()]
    return "".join(json.dumps(one, separators=(",", ":")) + "\n" for one in documents)
