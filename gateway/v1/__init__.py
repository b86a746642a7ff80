"""The public API's messages and stubs, generated from proto/gateway/v1 by proto/generate.py and never edited.

Owns: nothing that a person writes. Does not own: what any message means (rpc and client convert them).
"""
