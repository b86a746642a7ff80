"""The command `tollkeeper`: what a person or a script types, and what they read.

Owns: commands, options, exit codes (0 done or allowed, 3 denied, 2 misuse, 1 fault), tables and JSON.
Does not own: anything that is decided, counted, written or priced; each command is a thin caller of a room below.
Called by the shell.
"""

from gateway.cli.commands import main

__all__ = ["main"]
