"""The catalog as people write it, and the types of `billing_core` that it says.

It owns two documents, each YAML or JSON: the catalog, read and written in its canonical form, and the rating document
of `tollkeeper rate`. Reading makes no binary fraction at any step, takes nothing by guess, and tells every problem of a
document at once, each with its line and path. This is the only place that knows PyYAML.

It does not own what is valid (`billing_core` decides that when a type is built), files (text is handed in), or the
versions of plans (`gateway.records`).

`catalog apply` and `catalog validate` read catalogs, `gateway.records` stores plans as `write_catalog` and overrides as
`entitlement_text` writes them, and `tollkeeper rate` reads a rating document and writes its statement.
"""

from gateway.catalog_file.catalog import parse_catalog, parse_entitlement
from gateway.catalog_file.problems import CatalogError, Problem
from gateway.catalog_file.rating import parse_rating
from gateway.catalog_file.statements import write_statement
from gateway.catalog_file.writing import entitlement_text, write_catalog

__all__ = [
    "CatalogError",
    "Problem",
    "entitlement_text",
    "parse_catalog",
    "parse_entitlement",
    "parse_rating",
    "write_catalog",
    "write_statement",
]
