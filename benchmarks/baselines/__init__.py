"""Services to compare with, written plainly and with grpcio's defaults: what one would write first.

Owns two programs, each of which serves CheckEntitlement on a port that it is told. Does not own what they are asked or
how they are measured: that is `benchmarks.figures`'.
"""
