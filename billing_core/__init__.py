"""The money core: what usage costs, exactly, and why.

It owns money and its one rounding, billing periods and their parts, the aggregation of usage, the price models, the
types of a catalog, the rating of a period into lines, and all between lines and what is due: credits and wallets,
commitments, deductions, tax, invoices and credit notes; and the statement, which goes all the way. It is pure: the
standard library only, no clock, no I/O, and no binary fractions; whole numbers, decimals and decimal text are taken by
type, everything else is refused.

It does not own files, stores or protocols: the catalog file is read by `gateway.catalog_file`, usage comes from
`gateway.records`, and the moment that a period is asked for is always handed in.

`gateway.catalog_file` builds its types, `gateway.invoicing` calls `rating.rate`, `tollkeeper rate` draws up a
`statement`, and `gateway.entitlements` compiles the limits of a plan.

Each module imports only those before it: errors, names, currencies, money, quantities, periods, proration, aggregation,
licences, prices, credits, burning, wallets, commitments, tax, lines, discounts, entitlements, catalog, measurement,
rating_request, rating, invoice, invoice_document, credit_notes, statement.
"""
