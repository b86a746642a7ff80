"""What this gateway admitted, in a file on its own disk, before anybody was told.

Owns: the format of an entry, the ring file that one process writes, reading it back, how many old ones are kept.
Does not own: what is admitted (checker), what is counted (counters), counting again what Redis lost.
Called by counters for each use that was counted, by `tollkeeper journal`.

An entry is in the kernel's hands before the reply leaves: it survives the death of its process, whenever that comes.
It is never synced to the disk, so a power loss takes the last seconds; that matters only if Redis lost them as well.
"""

from gateway.journal.entry import Entry, Use, constant
from gateway.journal.folder import Kept, kept, open_in
from gateway.journal.reading import Reading, read
from gateway.journal.ring import Journal

__all__ = ["Entry", "Journal", "Kept", "Reading", "Use", "constant", "kept", "open_in", "read"]
