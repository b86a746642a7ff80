"""Door 1b: grpcio. Every service of the public API, with health and reflection.

Owns: turning calls into claims and commands, and answers and errors into messages and statuses.
Does not own: any decision. Called by app; called over the network by clients.
"""
