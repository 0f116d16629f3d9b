# SPDX-License-Identifier: Apache-2.0
"""What every client of the harness returns."""


class Response:
    def __init__(self, version):
        self.version = version      # "1.1", "2" or "3"
        self.status = None
        self.fields = []            # [(lower-case name, value)], in order
        self.body = b""
        self.interim = []           # [(status, fields)] of 1xx responses
        self.trailers = []

    def get(self, name, default=None):
        for have, value in self.fields:
            if have == name.lower():
                return value
        return default

    def get_all(self, name):
        return [value for have, value in self.fields if have == name.lower()]

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    def __repr__(self):
        return "<HTTP/%s %s %r %d bytes>" % (self.version, self.status, self.fields, len(self.body))


class ConnectionEnded(Exception):
    """The connection ended before the answer was whole; with code and reason over QUIC."""

    def __init__(self, message, code=None, reason="", transport=False):
        super().__init__(message)
        self.code, self.reason, self.transport = code, reason, transport


class StreamEnded(Exception):
    """The peer reset the stream (HTTP/2 RST_STREAM, QUIC RESET_STREAM) with this code."""

    def __init__(self, message, code, response=None):
        super().__init__(message)
        self.code, self.response = code, response
