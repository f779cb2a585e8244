"""tcptrace with the object that is for kernels before 5.12: later ones take it as well."""

from __future__ import annotations

from unittest.mock import patch

from tracer.cli import main
from tracer.kernel import objects

with patch.object(objects, "has_exchanges", return_value=False):
    main()
