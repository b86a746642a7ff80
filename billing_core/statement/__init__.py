"""Statements: all that a period comes to, from its usage and prices to the amount that is due.

It owns the order of everything (`drawn.draw_up`), what may be asked for besides prices and usage (`request`), and the
lines that say it (`lines`), each with its derivation.

It does not own any step: units are granted by `burning`, usage is rated by `rating`, commitments are settled by
`commitments`, and coupons, credits and tax are what `invoice.build` makes of them. Nor how a statement is written,
which is `gateway.catalog_file`.

`tollkeeper rate` draws one up of a rating document.
"""

from billing_core.statement.drawn import Statement, draw_up
from billing_core.statement.lines import Kind, StatementLine
from billing_core.statement.request import CommitmentTerms, ScopedRate, StatementRequest, WindowCommitment

__all__ = [
    "CommitmentTerms",
    "Kind",
    "ScopedRate",
    "Statement",
    "StatementLine",
    "StatementRequest",
    "WindowCommitment",
    "draw_up",
]
