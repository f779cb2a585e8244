"""`tcptrace doctor`: what this kernel offers, what is missing and what that costs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from tracer.cli import options
from tracer.errors import TracerError, UsageError

if TYPE_CHECKING:
    from tracer.views.output import Output


@click.command()
@click.option(
    "--self-test", is_flag=True, help="Make connections, trace them, tell if all were told of."
)
@options.means
@options.form
@options.as_json
@options.output
@options.force
@options.common
def doctor(**given: Any) -> None:
    """Tell which attach point each subject uses here, and what is missing.

    --self-test makes a known number of connections in a network namespace of its own, traces them
    as any others, and prints how many events of each subject were told, and made. 0: all were.
    """
    from pathlib import Path

    from tracer.cli.setup import read_form
    from tracer.diagnosis import diagnose
    from tracer.views import doctor as view
    from tracer.views.output import Output

    form = read_form(given)
    path = given.get("output")
    output = Output(Path(path) if path and path != "-" else None, bool(given.get("force")))
    if given["self_test"]:
        _test(given, form, output)
        return
    for name in ("transport", "buffer_pages", "sockets", "attach"):
        if given[name] is not None:
            option = "--" + name.replace("_", "-")
            raise UsageError(f"{option} is for the self-test alone", f"add --self-test to {option}")
    found = diagnose()
    if form == "json":
        output.write([json.dumps(document) for document in view.documents(found)])
    elif form == "csv":
        output.write(view.csv_lines(found))
    else:
        output.write(view.lines(found, form))
    output.close()


def _test(given: dict[str, Any], form: str, output: Output) -> None:
    """Print what came of the self-test. Errors: TracerError, where not all was told of."""
    from tracer.cli import means
    from tracer.selftest import shown, trial
    from tracer.session import Settings

    found = trial.run(
        Settings(
            attach=means.read_attach(given),
            transport=means.read_transport(given),
            buffer_pages=means.read_pages(given),
            sockets=means.read_sockets(given),
        )
    )
    output.write(shown.FORMS[form](found))
    output.close()
    wrong = [result.subject for result in found.results if result.tried and not result.is_exact]
    if wrong:
        raise TracerError(
            f"the self-test failed: {', '.join(wrong)}",
            "see what this kernel offers: tcptrace doctor; report it",
        )
