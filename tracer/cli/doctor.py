"""`tcptrace doctor`: what this kernel offers, what is missing and what that costs."""

from __future__ import annotations

import json
from typing import Any

import click

from tracer.cli import options


@click.command()
@options.form
@options.as_json
@options.output
@options.force
@options.common
def doctor(**given: Any) -> None:
    """Tell which attach point each subject uses here, and what is missing."""
    from pathlib import Path

    from tracer.cli.setup import read_form
    from tracer.diagnosis import diagnose
    from tracer.views import doctor as view
    from tracer.views.output import Output

    form = read_form(given)
    found = diagnose()
    path = given.get("output")
    output = Output(Path(path) if path and path != "-" else None, bool(given.get("force")))
    if form == "json":
        output.write([json.dumps(document) for document in view.documents(found)])
    elif form == "csv":
        output.write(view.csv_lines(found))
    else:
        output.write(view.lines(found, form))
    output.close()
