"""Door 1a: the fast lane. HTTP/2 for unary gRPC on the event loop itself, at a fraction of what grpcio costs.

Owns: frames, header blocks, streams, windows, limits and deadlines of its connections; which methods it answers.
Does not own: any decision, who callers are, what an error is called. Called by app; called over the network by clients.

Read it in the order of a call: `server` listens, `connection` cuts bytes into frames, `session` says what each frame
means, `streams` makes calls of them, `methods` has them answered, `flow` lets the answers out.

An HTTP/2 server of our own · because grpcio spends two hundred microseconds on a call and this one five · costs
two thousand lines that only care for a protocol · revisit when grpcio takes less than three times as long.
"""
