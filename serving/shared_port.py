"""A port that several processes listen on.

Owns how it is found free and kept from strangers while its workers come and go. Does not know what is served on it.
"""

import socket


class HeldPort:
    """A TCP port bound, and never listened on, until `close`: so each worker listens on the same one, port 0 or not.

    Raises OSError if the port is taken, by another group of workers too.
    """

    def __init__(self, host: str, port: int) -> None:
        self._sockets: list[socket.socket] = []
        self.port = port
        try:
            self._hold(host)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Let the port go."""
        for one in self._sockets:
            one.close()

    def _hold(self, host: str) -> None:
        found = socket.getaddrinfo(host.strip("[]"), self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, _, _, _, (address, *_) in found:
            self._refuse_taken(family, str(address))
            held = _socket(family)
            self._sockets.append(held)
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            held.bind((address, self.port))
            self.port = held.getsockname()[1]

    def _refuse_taken(self, family: socket.AddressFamily, address: str) -> None:
        """SO_REUSEPORT would let us in beside another server that has it too."""
        with _socket(family) as probe:
            # Connections of a server that has just stopped do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, self.port))


def _socket(family: socket.AddressFamily) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return made
