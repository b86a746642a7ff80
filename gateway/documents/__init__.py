"""The documents that gateways decide by, as they stand in Redis: JSON with a version, written by the publisher.

It owns what a document may say and how it is read: a plan version's, with every feature of the product, and a
customer's, with what it has besides its plan. What is usual is left out, so that an ordinary customer's is small, and
what was added to a document is optional, so that one from before is read on.

It does not own what follows from them (`gateway.limits`), how long they are believed (`gateway.entitlements`), or what
they are made from (`gateway.plan_documents`, `gateway.customer_documents`).
"""

from gateway.documents.customers import (
    BUCKET_MAX,
    CUSTOMER_PREFIX,
    GRANTS_MAX,
    QUANTITY_MAX,
    CustomerDocument,
    Grant,
    GrantKind,
    Override,
    Particulars,
    Status,
    customer_document,
    decode_customer,
)
from gateway.documents.features import (
    Boolean,
    ByDimension,
    Config,
    Counted,
    Feature,
    Given,
    Licences,
    Missing,
    NamedLicences,
    Rate,
    Rated,
    Rollover,
    Slots,
    When,
)
from gateway.documents.making import feature_of, given_of
from gateway.documents.plans import PLAN_PREFIX, PlanDocument, decode_plan, plan_document

__all__ = [
    "BUCKET_MAX",
    "CUSTOMER_PREFIX",
    "GRANTS_MAX",
    "PLAN_PREFIX",
    "QUANTITY_MAX",
    "Boolean",
    "ByDimension",
    "Config",
    "Counted",
    "CustomerDocument",
    "Feature",
    "Given",
    "Grant",
    "GrantKind",
    "Licences",
    "Missing",
    "NamedLicences",
    "Override",
    "Particulars",
    "PlanDocument",
    "Rate",
    "Rated",
    "Rollover",
    "Slots",
    "Status",
    "When",
    "customer_document",
    "decode_customer",
    "decode_plan",
    "feature_of",
    "given_of",
    "plan_document",
]
