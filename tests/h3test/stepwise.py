# SPDX-License-Identifier: Apache-2.0
"""One request, step by step, in the same words over HTTP/1.1, HTTP/2 and HTTP/3: pieces of its body
are sent when the test says so, and pieces of the response are seen as they come."""
import os
import tempfile

from .response import ConnectionEnded, Response, StreamEnded


class _Http1:
    def __init__(self, conn, method, path, fields, has_body):
        self._conn, self._method = conn, method
        self._chunked = has_body and "content-length" not in {n.lower() for n, _ in fields}
        conn.send_head(method, path,
                       list(fields) + [("Transfer-Encoding", "chunked")] * self._chunked)
        self.response, self.done = Response("1.1"), False
        self._framing = None        # of the response: "length", "chunked" or "end"
        self._left = 0

    def send(self, data, end):
        if not self._chunked:
            self._conn.raw(data)
        else:
            self._conn.raw((b"%x\r\n%s\r\n" % (len(data), data) if data else b"")
                           + (b"0\r\n\r\n" if end else b""))

    def abort(self):
        self._conn.close()

    def step(self):
        """Takes what has come; waits for it where nothing has."""
        conn = self._conn
        if not self._parse():
            try:
                conn.more()
            except ConnectionEnded:
                if self._framing != "end":
                    raise
                self.done = True
            self._parse()

    def _parse(self):
        """Whether there was something to be taken."""
        before = len(self._conn.buffer)
        if self._framing is None:
            if b"\r\n\r\n" in self._conn.buffer:
                self._head(*self._conn.read_head())
        elif self._framing == "chunked":
            self._chunks()
        else:
            count = len(self._conn.buffer) if self._framing == "end" else self._left
            piece = self._conn.exactly(min(count, len(self._conn.buffer)))
            self.response.body += piece
            self._left -= len(piece)
            self.done = self._framing == "length" and self._left == 0
        return len(self._conn.buffer) < before

    def _head(self, status, fields):
        if status < 200:
            self.response.interim.append((status, fields))
            return
        self.response.status, self.response.fields = status, fields
        self._left = int(self.response.get("content-length", "0"))
        if self._method == "HEAD" or status in (204, 304):
            self._framing, self._left, self.done = "length", 0, True
        elif self.response.get("transfer-encoding") == "chunked":
            self._framing = "chunked"
        elif self.response.get("content-length") is not None:
            self._framing, self.done = "length", self._left == 0
        else:
            self._framing = "end"

    def _chunks(self):
        while not self.done and b"\r\n" in self._conn.buffer:
            line, rest = self._conn.buffer.split(b"\r\n", 1)
            size = int(line.split(b";")[0], 16)
            if len(rest) < size + 2:
                return
            self.response.body += rest[:size]
            self._conn.buffer = rest[size + 2:]
            self.done = size == 0


class _Http2:
    def __init__(self, conn, method, path, fields, has_body):
        self._conn = conn
        self._id = conn.open(method, path, fields, end_stream=not has_body)
        self.response = conn.responses[self._id]

    @property
    def done(self):
        code = self._conn.done.get(self._id)
        # NO_ERROR stops the request alone, after a whole response (RFC 9113 section 8.1).
        if code:
            raise StreamEnded("RST_STREAM %s" % code, code, self.response)
        return self._id in self._conn.done

    def send(self, data, end):
        self._conn.send(self._id, data, end)

    def abort(self):
        self._conn.h2.reset_stream(self._id, 8)
        self._conn.flush()

    def step(self):
        self._conn.turn()


class _Http3:
    def __init__(self, conn, method, path, fields, has_body):
        self._conn = conn
        self._stream = conn.open(method, path, fields, end_stream=not has_body)
        self.response = self._stream.response

    @property
    def done(self):
        stream = self._stream
        if stream.reset_code is not None:
            raise StreamEnded("reset with %s" % hex(stream.reset_code), stream.reset_code,
                              self.response)
        return stream.done

    def send(self, data, end):
        if not self._stream.done and self._stream.stop_code is None:
            self._stream.send(data, end)

    def abort(self):
        self._stream.reset()
        self._stream.stop_sending()

    def step(self):
        if self._conn.ended is not None:
            raise self._conn.how_it_ended()
        self._conn.turn()


class Exchange:
    """A request whose head has been sent."""

    def __init__(self, conn, method="GET", path="/", fields=(), has_body=False):
        kind = {"1.1": _Http1, "2": _Http2, "3": _Http3}[conn.version]
        self._side = kind(conn, method, path, list(fields), has_body)
        self.response = self._side.response

    def send(self, data=b"", end=False):
        self._side.send(data, end)

    def see(self, condition):
        """Until condition(response) is true. pytest's own timeout is the bound."""
        while not condition(self.response):
            if self._side.done:
                raise AssertionError("it ended before: %r" % self.response)
            self._side.step()
        return self.response

    def see_head(self):
        return self.see(lambda response: response.status is not None)

    def see_text(self, text):
        return self.see(lambda response: text in response.body)

    def finish(self):
        while not self._side.done:
            self._side.step()
        return self.response

    def abort(self):
        """Gives the request up; over HTTP/1.1 that is the end of the connection."""
        self._side.abort()


class Gates:
    """What a script waits for: files that appear in a folder that it is told of."""

    def __init__(self, httpd):
        self.folder = tempfile.mkdtemp(prefix="gates-", dir=httpd.root)
        os.chmod(self.folder, 0o755)

    def open(self, name):
        with open(os.path.join(self.folder, str(name)), "w"):
            pass
