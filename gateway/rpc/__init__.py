"""Door 1b: grpcio. Every service of the public API, with health and reflection.

Owns: turning calls into claims and commands, and answers and errors into messages and statuses; that every call has a
caller who may make it. Does not own: who that is (credentials), nor any decision. Called by app; called over the
network by clients.
"""
