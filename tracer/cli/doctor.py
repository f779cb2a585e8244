"""`tcptrace doctor`: what this kernel offers, what is missing and what that costs."""

from __future__ import annotations

from typing import Any

import click

from tracer.cli import options


@click.command()
@options.form
@options.as_json
@options.common
def doctor(**given: Any) -> None:
    """Tell which attach point each subject uses here, and what is missing."""
    raise NotImplementedError
