"""A way to PostgreSQL that can stop to carry anything, as a network does: nothing is closed, nothing arrives."""

import contextlib
import socket
import threading
from urllib.parse import urlsplit

CHUNK = 64 << 10


class Proxy:
    """Listens on a loopback port and forwards to the server of a URL. `url` leads through it."""

    def __init__(self, url):
        parts = urlsplit(url)
        self._server = (parts.hostname, parts.port)
        self._flows = threading.Event()
        self._flows.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        self.url = parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{port}").geturl()
        threading.Thread(target=self._accept, daemon=True).start()

    def pause(self):
        """Nothing gets through from here on; what is sent arrives after `resume`, as TCP has it."""
        self._flows.clear()

    def resume(self):
        """Carries everything again."""
        self._flows.set()

    def _accept(self):
        while True:
            client, _ = self._listener.accept()
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client):
        self._flows.wait()
        try:
            server = socket.create_connection(self._server)
        except OSError:
            client.close()
            return
        back = threading.Thread(target=self._carry, args=(server, client), daemon=True)
        back.start()
        self._carry(client, server)
        back.join()
        client.close()
        server.close()

    def _carry(self, source, target):
        # Either side may be gone; the other is told, which ends the thread that carries back.
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                self._flows.wait()
                target.sendall(data)
        self._flows.wait()
        for end, how in ((target, socket.SHUT_WR), (source, socket.SHUT_RD)):
            with contextlib.suppress(OSError):
                end.shutdown(how)
