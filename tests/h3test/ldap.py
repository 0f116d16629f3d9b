# SPDX-License-Identifier: Apache-2.0
"""A directory with one user, in a thread: as much of LDAP (RFC 4511) as mod_authnz_ldap speaks."""
import socketserver
import threading

BIND, BIND_RESPONSE, UNBIND, SEARCH = 0x60, 0x61, 0x42, 0x63
SEARCH_ENTRY, SEARCH_DONE = 0x64, 0x65
SEQUENCE, INTEGER, OCTETS, ENUM, SIMPLE = 0x30, 0x02, 0x04, 0x0a, 0x80
SUCCESS, INVALID_CREDENTIALS = 0, 49


def encode(tag, *values):
    data = b"".join(values)
    size = bytes([len(data)]) if len(data) < 128 else b"\x82" + len(data).to_bytes(2, "big")
    return bytes([tag]) + size + data


def number(tag, value):
    return encode(tag, bytes([value]))


def decode(data):
    """[(tag, value)] of what stands in `data` side by side."""
    found = []
    while data:
        tag, size, start = data[0], data[1], 2
        if size & 0x80:
            start += size & 0x7f
            size = int.from_bytes(data[2:start], "big")
        found.append((tag, data[start:start + size]))
        data = data[start + size:]
    return found


class _Handler(socketserver.StreamRequestHandler):
    def _message(self):
        """The next message's two parts, or None at the end."""
        head = self.rfile.read(2)
        if len(head) < 2:
            return None
        size = head[1]
        if size & 0x80:
            size = int.from_bytes(self.rfile.read(size & 0x7f), "big")
        return decode(self.rfile.read(size))[:2]

    def _say(self, number_of, operation):
        self.wfile.write(encode(SEQUENCE, encode(INTEGER, number_of), operation))

    def _result(self, number_of, tag, result):
        self._say(number_of, encode(tag, number(ENUM, result), encode(OCTETS), encode(OCTETS)))

    def handle(self):
        server = self.server
        for (_, number_of), (tag, operation) in iter(self._message, None):
            if tag == BIND:
                _, (_, name), (_, password) = decode(operation)
                # A bind without a name is one of nobody.
                known = not name or (name, password) == (server.name, server.password)
                self._result(number_of, BIND_RESPONSE, SUCCESS if known else INVALID_CREDENTIALS)
            elif tag == SEARCH:
                if server.user in operation:
                    self._say(number_of, encode(SEARCH_ENTRY, encode(OCTETS, server.name),
                                                encode(SEQUENCE)))
                self._result(number_of, SEARCH_DONE, SUCCESS)
            elif tag == UNBIND:
                return


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 128


class Directory:
    """`url` is what AuthLDAPURL takes."""

    def __init__(self, user, password):
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.user, self._server.password = user.encode(), password.encode()
        self._server.name = b"uid=" + self._server.user + b",dc=test"
        self.url = "ldap://127.0.0.1:%d/dc=test?uid" % self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,),
                                        daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
