"""Door 2: Redis. The live numbers, the stream of usage events, and the documents that gateways decide by.

Owns: the connection, the names of keys, the scripts and the order of their arguments, the line that says whether
counters may be believed, asking again without counting twice.
Does not own: what a customer may do (entitlements), what an answer means (decision), what was used (records).
Everything here may be rebuilt from Postgres. Called by checker, flusher, publisher and keeper.
"""
