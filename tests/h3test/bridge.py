# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 in clear text on a loopback port, sent on to httpd over HTTP/3: for programs that speak
no HTTP/3 themselves. Bodies stream both ways, and 1xx responses pass; trailers are left out.

Each connection of a client has a thread and an HTTP/3 connection of its own, so httpd sees as many
connections as without the bridge.
"""
import select
import socket
import threading

from .response import ConnectionEnded
from .wait import bound

# Of one connection alone (RFC 9110 section 7.6.1, RFC 9114 section 4.2).
HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding",
              "upgrade", "host"}
# Whose values hold URLs of this server; mod_dav wants them with its own scheme, name and port.
WITH_URLS = {"destination", "if", "origin", "referer"}
WITHOUT_BODY = {204, 304}
# How much of a body waits in this process.
WINDOW = 1 << 18


class _Gone(Exception):
    """The client has left, or what it sent is not a request."""


class _Body:
    """A request's body, taken out of what the client sends."""

    def __init__(self, length, chunked):
        self._left, self._chunked = length, chunked
        self._line = b"size" if chunked else b""    # which line comes when nothing is left
        self.ended = not chunked and length == 0

    def take(self, data):
        """(the bytes of the body at the start of `data`, what follows them)."""
        body = b""
        while data and not self.ended:
            if self._left:
                piece, data = data[:self._left], data[self._left:]
                body += piece
                self._left -= len(piece)
                self.ended = not self._left and not self._chunked
            elif b"\r\n" not in data:
                break
            else:
                line, data = data.split(b"\r\n", 1)
                self._take_line(line)
        return body, data

    def _take_line(self, line):
        if self._line == b"size":
            self._left = int(line.split(b";")[0], 16)
            self._line = b"end of chunk" if self._left else b"trailer"
        elif self._line == b"end of chunk":
            self._line = b"size"
        elif not line:
            self.ended = True


class _Request:
    """The head of a request in HTTP/1.1."""

    def __init__(self, text):
        lines = text.decode("latin-1").split("\r\n")
        fields = [(name.strip().lower(), value.strip()) for name, _, value in
                  (line.partition(":") for line in lines[1:])]
        named = dict(fields)
        try:
            self.method, self.target, _ = lines[0].split(" ")
            length = int(named.get("content-length", "0"))
        except ValueError as exc:
            raise _Gone("no request: %r" % text) from exc
        self.last = "close" in named.get("connection", "").lower()
        self.body = _Body(length, "chunked" in named.get("transfer-encoding", "").lower())
        self.fields = [field for field in fields if field[0] not in HOP_BY_HOP]


class _Response:
    """A response of HTTP/3, written in HTTP/1.1 as it comes."""

    def __init__(self, sock, request, stream):
        self._sock, self._request, self._stream = sock, request, stream
        self._interim = 0           # how many of the 1xx have been written
        self._begun = self._chunked = False
        self.done = False

    def write(self):
        response = self._stream.response
        for status, fields in response.interim[self._interim:]:
            self._head(status, fields)
            self._interim += 1
        if response.status is None or self.done:
            return
        if not self._begun:
            self._begin(response)
        piece, response.body = response.body, b""
        if piece:
            self._sock.sendall(b"%x\r\n%s\r\n" % (len(piece), piece) if self._chunked else piece)
        if self._stream.done and self._stream.reset_code is None and not response.body:
            self._sock.sendall(b"0\r\n\r\n" if self._chunked else b"")
            self.done = True

    def _begin(self, response):
        self._begun = True
        self._chunked = (self._request.method != "HEAD" and response.status not in WITHOUT_BODY
                         and response.get("content-length") is None)
        own = [("transfer-encoding", "chunked")] if self._chunked else []
        self._head(response.status,
                   response.fields + own + [("connection", "close")] * self._request.last)

    def _head(self, status, fields):
        lines = ["HTTP/1.1 %d -" % status] + ["%s: %s" % field for field in fields]
        self._sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))


class _Client:
    """One connection of a client, on its thread."""

    def __init__(self, sock, bridge):
        self._sock, self._bridge = sock, bridge
        self._conn = None           # HTTP/3
        self._data = b""            # what the client has sent, not yet sent on
        self._left = False          # the client sends no more

    def run(self):
        try:
            while self._one():
                pass
        except (ConnectionEnded, TimeoutError) as exc:
            # The client sees that its connection ends, as it would of a server; tests look here.
            self._bridge.faults.append(repr(exc))
        except (_Gone, OSError):
            pass                    # nobody waits for the rest
        finally:
            self._sock.close()
            if self._conn is not None:
                self._conn.close()

    def _one(self):
        """A request and its response. False: there are no more of them."""
        while b"\r\n\r\n" not in self._data:
            if self._left:
                return False
            self._turn()
        head, self._data = self._data.split(b"\r\n\r\n", 1)
        request = _Request(head)
        stream = self._connection().open(
            request.method, request.target, self._bridge.fields(request),
            end_stream=request.body.ended)
        response = _Response(self._sock, request, stream)
        while not (response.done and request.body.ended):
            self._send_on(request.body, stream)
            response.write()
            self._check(stream, response)
            if not (response.done and request.body.ended):
                self._turn()
        return not request.last

    def _send_on(self, body, stream):
        """Passes on what has come of the body; drops it once the server has stopped it."""
        if body.ended or stream.unsent() > WINDOW:
            return
        piece, self._data = body.take(self._data)
        if not stream.done and stream.stop_code is None and (piece or body.ended):
            stream.send(piece, body.ended)

    def _check(self, stream, response):
        if stream.reset_code is not None:
            raise ConnectionEnded("stream %d: reset with 0x%x" % (stream.id, stream.reset_code))
        if not response.done and (self._conn.ended is not None or self._conn.stateless_reset):
            raise ConnectionEnded("stream %d: the connection has ended" % stream.id)
        if self._left:
            raise _Gone("in the middle of stream %d" % stream.id)

    def _connection(self):
        """The HTTP/3 connection; another one where it takes no more requests."""
        conn = self._conn
        if conn is not None and (conn.ended is not None or conn.stateless_reset or conn.goaways):
            conn.close()
            conn = None
        if conn is None:
            conn = self._conn = self._bridge.connect()
        return conn

    def _turn(self):
        """Waits for either side and takes what has come."""
        if self._bridge.stopping:
            raise _Gone("the bridge stops")
        wanted = [self._sock] if len(self._data) < WINDOW and not self._left else []
        conn = self._conn if self._conn is not None and self._conn.ended is None else None
        if conn is not None:
            conn.flush()
            wanted.append(conn)
        ready, _, _ = select.select(wanted, [], [], 0.02 if conn is not None else 0.2)
        if conn is not None:
            conn.after_select(conn in ready)
        if self._sock in ready:
            data = self._sock.recv(65536)
            self._left = not data
            self._data += data


class Bridge:
    """Listens at `url` until stop()."""

    def __init__(self, httpd, host="h3.test"):
        self.connect = lambda: httpd.h3(sni=host)
        self.faults = []            # why the server has ended connections in the middle
        self.stopping = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = "http://127.0.0.1:%d" % self.port
        self._far = "https://%s:%d" % (host, httpd.port)
        self._threads = []
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def fields(self, request):
        """The request's, with httpd's URLs in place of the bridge's."""
        return [(name, value.replace(self.url, self._far) if name in WITH_URLS else value)
                for name, value in request.fields]

    def _accept(self):
        while not self.stopping:
            ready, _, _ = select.select([self._listener], [], [], 0.1)
            if ready:
                sock, _ = self._listener.accept()
                sock.settimeout(bound(30))
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                thread = threading.Thread(target=_Client(sock, self).run, daemon=True)
                thread.start()
                self._threads.append(thread)

    def stop(self):
        self.stopping = True
        self._acceptor.join()
        self._listener.close()
        for thread in self._threads:
            thread.join()
