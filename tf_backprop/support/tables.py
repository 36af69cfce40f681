"""A table of fixed width."""

from collections.abc import Sequence

from tabulate import tabulate

#: Where a document's number comes from; three sources that are never mixed.
PRINTED = "printed by the document"
COPIES = "printed by public copies"
REPRODUCED = "from the document's code"


def table(headers: Sequence[str], rows: Sequence[Sequence], style: str = "plain", as_is: bool = False) -> str:
    """Return `rows` under `headers`, columns aligned; floats with six significant digits, None as a dash.

    `as_is` leaves texts that look like numbers alone.
    """
    return tabulate(rows, headers, tablefmt=style, floatfmt=".6g", missingval="-", disable_numparse=as_is)
