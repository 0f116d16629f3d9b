# SPDX-License-Identifier: Apache-2.0
"""A TCP port on loopback whose connections a test deals with by itself."""
import socket
import threading

from .wait import bound


class Listener:
    """answer(socket) is called for each connection, in a thread of its own; the socket is closed
    afterwards. A peer that goes away in the middle ends the answer and is not an error."""

    def __init__(self, answer):
        self._answer = answer
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def stop(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _accept(self):
        while True:
            try:
                conn, _ = self._socket.accept()
            except OSError:
                return              # stop() has shut it down
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            conn.settimeout(bound(60))
            threading.Thread(target=self._run, args=(conn,), daemon=True).start()

    def _run(self, conn):
        with conn:
            try:
                self._answer(conn)
            except (BrokenPipeError, ConnectionResetError):
                return
