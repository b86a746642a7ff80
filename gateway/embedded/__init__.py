"""Real stores without any set-up: finds Valkey and Postgres on this machine, runs them on unix sockets, stops them.

Owns the state folder (both stores' data, their logs, the lock), the short-lived run folder with the sockets, and the
processes in between. Does not own what is in the stores, and never speaks to one but to ask whether it is up: Redis is
`counters`' and Postgres is `records`'. `app`, `cli` and the tests call it.

- `locate`: which binary or URL, and where it was found
- `identity`: as whom Postgres runs when we are root, which it refuses to be
- `leash`: the script through which every child starts, so that none outlives us
- `child`, `folders`: one process; the folders and their lock
- `stores`: start → ready → stop

Decision: wheels' binaries under our own supervisor, not the wheels' managers · because those create users and open up
every folder above them when run as root · costs these five files · revisit when a wheel's manager does neither.
"""

from gateway.embedded.identity import Way, choose_way
from gateway.embedded.locate import Binary, External, Found, locate_postgres, locate_redis
from gateway.embedded.stores import Stores, reset, stores

__all__ = [
    "Binary",
    "External",
    "Found",
    "Stores",
    "Way",
    "choose_way",
    "locate_postgres",
    "locate_redis",
    "reset",
    "stores",
]
