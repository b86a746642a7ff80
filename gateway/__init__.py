"""The gateway: may this customer use this feature now? Asked over gRPC, counted in Redis, written down in Postgres.

Owns: the road of a check, one noun per file (see ARCHITECTURE.md), and the doors to the network and to both stores.
Does not own: what money and time are; that is billing_core. Called by the command `tollkeeper` and by clients.
"""
