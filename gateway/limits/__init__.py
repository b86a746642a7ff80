"""What a customer is entitled to, feature by feature: compiled from documents, and resolved for a moment.

It owns the kinds of compiled entitlements, how counters are named, in which order grants burn, and how a plan, add-ons,
grants, licence counts, an override, a trial and a status become one entitlement, and until when that holds.

It does not own documents (`gateway.documents`), how long they are held (`gateway.entitlements`), which windows run
(`gateway.windows`), or how a limit is counted (`gateway.counters`). It has no clock: the moment is an argument.

`gateway.entitlements` compiles a plan's offers when it takes its document in; `gateway.prepared` resolves them for a
claim. Customers with nothing of their own share what was compiled with their plan.
"""

from gateway.limits.kinds import (
    Absent,
    AddOn,
    Allowance,
    ByDimension,
    Entitlement,
    Grant,
    Licences,
    Member,
    Metered,
    NamedLicences,
    Rate,
    Rated,
    Rollover,
    Setting,
    Slots,
    Suspended,
    Switch,
    TrialOver,
)
from gateway.limits.resolving import Offer, Resolved, entitlement_of, offers_of

__all__ = [
    "Absent",
    "AddOn",
    "Allowance",
    "ByDimension",
    "Entitlement",
    "Grant",
    "Licences",
    "Member",
    "Metered",
    "NamedLicences",
    "Offer",
    "Rate",
    "Rated",
    "Resolved",
    "Rollover",
    "Setting",
    "Slots",
    "Suspended",
    "Switch",
    "TrialOver",
    "entitlement_of",
    "offers_of",
]
