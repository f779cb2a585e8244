"""`tcptrace schema`: JSON Schema of every record."""

from __future__ import annotations

import click


@click.command()
@click.argument("kind", required=False, metavar="[KIND]")
def schema(kind: str | None) -> None:
    """Print the JSON Schema of a kind of record, or of all of them, a line each."""
    import json

    from tracer.cli.values import nearest
    from tracer.errors import UsageError
    from tracer.views import schema as schemas

    if kind is None:
        for each in schemas.KINDS:
            print(json.dumps(schemas.schema(each)))
    elif kind in schemas.KINDS:
        print(json.dumps(schemas.schema(kind), indent=2))
    else:
        raise UsageError(f"{kind!r} is no kind of record", nearest(kind, list(schemas.KINDS)))
