# SPDX-License-Identifier: Apache-2.0
"""An HTTP/1.1 server in a thread that remembers what it was asked, for mod_proxy_http."""
import contextlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Seen:
    def __init__(self, handler, body, whole):
        self.line = handler.requestline
        self.method, self.path = handler.command, handler.path
        self.version = handler.request_version
        self.fields = [(n.lower(), v) for n, v in handler.headers.items()]
        self.body = body
        self.whole = whole          # the body came to its end

    def get(self, name):
        return dict(self.fields).get(name)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """The tests read `seen`; nothing goes to stderr."""

    def _chunks(self):
        body = b""
        while True:
            line = self.rfile.readline()
            if not line.strip():
                return body, False
            size = int(line.split(b";")[0], 16)
            piece = self.rfile.read(size)
            body += piece
            if len(piece) < size:
                return body, False
            self.rfile.readline()
            if size == 0:
                return body, True

    def _body(self):
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            return self._chunks()
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        return body, len(body) == length

    def _answer(self, status, body, fields=()):
        self.send_response(status)
        if status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Backend", "yes")
        for name, value in fields:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD" and status not in (204, 304):
            self.wfile.write(body)

    def _early(self):
        """Says no to the head alone, and reads on until the other side is done."""
        self.close_connection = True
        self._answer(403, b"early\n", [("Connection", "close")])
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            while self.rfile.read1(65536):
                pass

    def _any(self):
        if self.path.startswith("/early"):
            self._early()
            return
        try:
            body, whole = self._body()
        except ConnectionError:
            body, whole = b"", False
        seen = Seen(self, body, whole)
        with self.server.lock:
            self.server.seen.append(seen)
        if not whole:
            self.close_connection = True
            return
        route = self.path.split("?")[0].strip("/").split("/")
        if route[0] == "status":
            self._answer(int(route[1]), b"status %s\n" % route[1].encode())
        elif route[0] == "chunked":
            self._chunked()
        elif route[0] == "short":
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            self.wfile.write(b"x" * 10000)
            self.close_connection = True
        elif route[0] == "cookies":
            self._answer(200, b"cookies\n", [("Set-Cookie", "a=1; Path=/"),
                                             ("Set-Cookie", "b=2; Path=/"),
                                             ("Alt-Svc", 'h3=":1"')])
        else:
            self._answer(200, body or b"the backend says hello\n",
                         [("Content-Type", "text/plain"), ("X-Saw", self.request_version)])

    def _chunked(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for i in range(10):
            piece = b"piece %d\n" % i
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = _any


class Backend:
    def __init__(self):
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.seen, self._server.lock = [], threading.Lock()
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,),
                                        daemon=True)
        self._thread.start()

    @property
    def seen(self):
        with self._server.lock:
            return list(self._server.seen)

    def clear(self):
        with self._server.lock:
            self._server.seen.clear()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
