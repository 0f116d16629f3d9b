# SPDX-License-Identifier: Apache-2.0
"""A FastCGI responder in a thread, for mod_proxy_fcgi: it sends what a test tells it, when the test
tells it."""
import queue
import struct

from .listener import Listener

BEGIN_REQUEST, END_REQUEST, PARAMS, STDIN, STDOUT = 1, 3, 4, 5, 6


def _record(kind, request_id, content=b""):
    return struct.pack(">BBHHBx", 1, kind, request_id, len(content), 0) + content


class Piecewise(Listener):
    """Answers each request with what put() was given, one STDOUT record each, until None."""

    def __init__(self):
        self._pieces = queue.Queue()
        super().__init__(self._serve)

    def put(self, piece):
        self._pieces.put(piece)

    def _serve(self, conn):
        with conn.makefile("rb") as stream:
            while True:
                head = stream.read(8)
                if len(head) < 8:
                    return
                _, kind, request_id, length, padding = struct.unpack(">BBHHBx", head)
                stream.read(length + padding)
                if kind == STDIN and length == 0:
                    break
        while (piece := self._pieces.get(timeout=60)) is not None:
            conn.sendall(_record(STDOUT, request_id, piece))
        conn.sendall(_record(STDOUT, request_id)
                     + _record(END_REQUEST, request_id, struct.pack(">IBxxx", 0, 0)))
