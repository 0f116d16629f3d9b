# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1, in clear text or over TLS, down to raw bytes."""
import socket
import ssl

from .response import ConnectionEnded, Response
from .wait import bound


def tls_context(ca_file, alpn, client=None, tls13=False):
    context = ssl.create_default_context(cafile=ca_file)
    # The name is checked by the chain alone: tests connect by address and say any SNI they like.
    context.check_hostname = False
    if ca_file is None:
        context.verify_mode = ssl.CERT_NONE
    if tls13:
        context.minimum_version = ssl.TLSVersion.TLSv1_3
    if alpn:
        context.set_alpn_protocols(alpn)
    if client is not None:
        context.load_cert_chain(client.cert_file, client.key_file)
    return context


def open_socket(address, port, ca_file=None, tls=True, sni=None, alpn=(), client=None,
                local=None, timeout=15, tls13=False):
    sock = socket.create_connection((address, port), bound(timeout),
                                    source_address=(local, 0) if local else None)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if tls:
        sock = tls_context(ca_file, alpn, client, tls13).wrap_socket(sock, server_hostname=sni)
    return sock


class H1Conn:
    version = "1.1"

    def __init__(self, address, port, *, ca_file=None, tls=True, sni="h3.test", client=None,
                 local=None, timeout=15, tls13=False):
        self.authority = sni or ("[%s]" % address if ":" in address else address)
        self.port = port
        self.sock = open_socket(address, port, ca_file, tls, sni, ["http/1.1"] if tls else (),
                                client, local, timeout, tls13)
        self.buffer = b""           # what has come and has not been taken

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def more(self):
        """Waits for something; ConnectionEnded where nothing will come any more."""
        try:
            data = self.sock.recv(65536)
        except (ConnectionResetError, ssl.SSLError) as exc:
            raise ConnectionEnded(str(exc)) from exc
        if not data:
            raise ConnectionEnded("the server closed the connection")
        self.buffer += data

    def _line(self):
        while b"\r\n" not in self.buffer:
            self.more()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line.decode("latin-1")

    def exactly(self, count):
        """Takes so many bytes."""
        while len(self.buffer) < count:
            self.more()
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def _fields(self):
        fields = []
        while True:
            line = self._line()
            if not line:
                return fields
            name, _, value = line.partition(":")
            fields.append((name.lower(), value.strip()))

    def _chunked(self, response):
        while True:
            size = int(self._line().split(";")[0], 16)
            if size == 0:
                response.trailers = self._fields()
                return
            response.body += self.exactly(size)
            self._line()

    def read_head(self):
        """(status, fields) of the next response, interim or final."""
        status_line = self._line()
        assert status_line.startswith("HTTP/1."), status_line
        return int(status_line.split(" ")[1]), self._fields()

    def read_response(self, method="GET"):
        response = Response("1.1")
        while True:
            status, fields = self.read_head()
            if status >= 200:
                break
            response.interim.append((status, fields))
        response.status, response.fields = status, fields
        if method == "HEAD" or status in (204, 304):
            return response
        if (response.get("transfer-encoding") or "").lower() == "chunked":
            self._chunked(response)
        elif response.get("content-length") is not None:
            response.body = self.exactly(int(response.get("content-length")))
        else:
            try:
                while True:
                    self.more()
            except ConnectionEnded:
                response.body, self.buffer = self.buffer, b""
        return response

    def send_head(self, method, path, fields=(), authority=None):
        names = {name.lower() for name, _ in fields}
        lines = ["%s %s HTTP/1.1" % (method, path)]
        if "host" not in names:
            lines.append("Host: %s" % (authority or self.authority))
        lines += ["%s: %s" % (name, value) for name, value in fields]
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))

    def request(self, method="GET", path="/", fields=(), body=None, authority=None):
        """body: bytes (sent with Content-Length) or an iterable of bytes (sent chunked). With
        `Expect: 100-continue` the body waits for the 100."""
        fields = list(fields)
        names = {name.lower(): value for name, value in fields}
        chunked = body is not None and not isinstance(body, (bytes, bytearray))
        if chunked:
            fields.append(("Transfer-Encoding", "chunked"))
        elif body is not None and "content-length" not in names:
            fields.append(("Content-Length", str(len(body))))
        self.send_head(method, path, fields, authority)
        interim = []
        if names.get("expect", "").lower() == "100-continue":
            status, got = self.read_head()
            if status != 100:
                self.buffer = ("HTTP/1.1 %d -\r\n%s\r\n" % (status, "".join(
                    "%s: %s\r\n" % pair for pair in got))).encode() + self.buffer
                return self.read_response(method)
            interim.append((status, got))
        if chunked:
            for piece in body:
                if piece:
                    self.sock.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.sock.sendall(b"0\r\n\r\n")
        elif body:
            self.sock.sendall(body)
        response = self.read_response(method)
        response.interim = interim + response.interim
        return response

    def raw(self, data):
        self.sock.sendall(data)
