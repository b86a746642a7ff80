"""The hot path: entitlement → counters → decision, with at most one question to Redis.

Owns: in which order a check asks, which claims share a call, and when one is decided again.
Does not own: what a customer is entitled to, what is counted, or what an answer says. Called by lane and rpc.
"""

from gateway.checker.checker import Checker
from gateway.checker.checks import Told

__all__ = ["Checker", "Told"]
