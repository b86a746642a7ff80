"""Where a gateway listens: each worker has its socket, and nobody else's is taken."""

import socket
import stat
from pathlib import Path

import pytest

from gateway import listening
from gateway.errors import PreconditionError
from gateway.listening import listen, name_of


def close(sockets: list[socket.socket]) -> None:
    """End it as a gateway does, whose doors have closed some of them."""
    names = [name_of(each) for each in sockets]
    sockets[0].close()
    listening.close(sockets, names)


def test_one_worker_listens_alone() -> None:
    """A port that one process listens on is not to be had by a second, however it asks."""
    first = listen("127.0.0.1:0")
    address = name_of(first[0])
    for workers in (1, 2):
        with pytest.raises(PreconditionError, match=rf"cannot listen on {address}: .*; is another process there\?"):
            listen(address, workers)
    close(first)
    close(listen(address))


def test_workers_share_a_port_that_no_other_process_joins() -> None:
    """The kernel deals connections out among the workers of one gateway; a second gateway is refused."""
    sockets = listen("127.0.0.1:0", 3)
    names = {name_of(each) for each in sockets}
    assert len(names) == 1
    address = names.pop()
    for workers in (1, 3):
        with pytest.raises(PreconditionError, match="is another process there"):
            listen(address, workers)
    clients = [socket.create_connection(sockets[0].getsockname()) for _ in range(60)]
    for each in sockets:
        each.setblocking(False)
        each.accept()[0].close()  # of sixty, each worker has its share
    for client in clients:
        client.close()
    close(sockets)


def test_workers_have_paths_of_their_own(tmp_path: Path) -> None:
    """A unix socket cannot be shared by name: PATH for one worker, PATH.0 and so on for several."""
    alone = listen(f"unix:{tmp_path}/a.sock")
    several = listen(f"unix:{tmp_path}/b.sock", 2)
    assert [name_of(each) for each in (*alone, *several)] == [
        f"unix:{tmp_path}/{name}" for name in ("a.sock", "b.sock.0", "b.sock.1")
    ]
    assert stat.S_IMODE((tmp_path / "a.sock").stat().st_mode) == 0o660
    close([*alone, *several])
    assert list(tmp_path.iterdir()) == []


def test_a_served_path_is_refused_and_a_dead_one_taken_over(tmp_path: Path) -> None:
    """What a killed gateway left is in nobody's way; a live one, a file and a missing folder are."""
    path = tmp_path / "gateway.sock"
    served = listen(f"unix:{path}")
    with pytest.raises(PreconditionError, match="another process serves it"):
        listen(f"unix:{path}")
    served[0].close()
    close(listen(f"unix:{path}"))
    path.write_text("", encoding="ascii")
    with pytest.raises(PreconditionError, match="it is a file, not a socket"):
        listen(f"unix:{path}")
    with pytest.raises(PreconditionError, match="there is no folder"):
        listen(f"unix:{tmp_path}/none/gateway.sock")


def test_ipv6_addresses_keep_their_brackets() -> None:
    """What is printed can be given to a client."""
    sockets = listen("[::1]:0")
    assert name_of(sockets[0]).startswith("[::1]:")
    close(sockets)
