# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 over TLS, on the h2 package."""
import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

from .h1 import open_socket
from .response import ConnectionEnded, Response, StreamEnded


def _text(value):
    return value.decode("latin-1") if isinstance(value, bytes) else value


class H2Conn:
    version = "2"

    def __init__(self, address, port, *, ca_file=None, sni="h3.test", client=None, local=None,
                 timeout=15, tls13=False):
        self.authority = sni or ("[%s]" % address if ":" in address else address)
        self.port = port
        self.sock = open_socket(address, port, ca_file, True, sni, ["h2"], client, local, timeout,
                                tls13)
        if self.sock.selected_alpn_protocol() != "h2":
            raise ConnectionEnded("ALPN chose %r" % self.sock.selected_alpn_protocol())
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=True, header_encoding=None, validate_outbound_headers=False,
            normalize_outbound_headers=False))
        self.h2.initiate_connection()
        self.h2.increment_flow_control_window(1 << 24)
        self.sock.sendall(self.h2.data_to_send())
        self.altsvc = []            # [(origin, value)] of ALTSVC frames
        self.goaway = None
        self.responses = {}         # stream ID -> what has come of it
        self.done = {}              # stream ID -> None (END_STREAM), or RST_STREAM's code

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def flush(self):
        """Sends what HTTP/2 has to send now."""
        data = self.h2.data_to_send()
        if data:
            self.sock.sendall(data)

    def turn(self):
        """Reads once and takes in what came."""
        try:
            data = self.sock.recv(65536)
        except OSError as exc:
            raise ConnectionEnded(str(exc)) from exc
        if not data:
            raise ConnectionEnded("the server closed the connection", self.goaway)
        for event in self.h2.receive_data(data):
            self._take(event)
        self.flush()

    def _take(self, event):
        stream = self.responses.get(getattr(event, "stream_id", None))
        if isinstance(event, h2.events.AlternativeServiceAvailable):
            self.altsvc.append((_text(event.origin), _text(event.field_value)))
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.goaway = event.error_code
        elif stream is None:
            return
        elif isinstance(event, h2.events.InformationalResponseReceived):
            fields = [(_text(n), _text(v)) for n, v in event.headers]
            stream.interim.append((int(dict(fields)[":status"]), fields[1:]))
        elif isinstance(event, h2.events.ResponseReceived):
            fields = [(_text(n), _text(v)) for n, v in event.headers]
            stream.status = int(dict(fields)[":status"])
            stream.fields = [f for f in fields if not f[0].startswith(":")]
        elif isinstance(event, h2.events.DataReceived):
            stream.body += event.data
            if event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            stream.trailers = [(_text(n), _text(v)) for n, v in event.headers]
        elif isinstance(event, h2.events.StreamEnded):
            self.done[event.stream_id] = None
        elif isinstance(event, h2.events.StreamReset):
            self.done.setdefault(event.stream_id, event.error_code)

    def open(self, method="GET", path="/", fields=(), authority=None, end_stream=True,
             scheme="https"):
        stream_id = self.h2.get_next_available_stream_id()
        head = [(":method", method), (":scheme", scheme),
                (":authority", authority or self.authority), (":path", path)]
        if authority is False:
            head = [f for f in head if f[0] != ":authority"]
        head += [(name.lower(), value) for name, value in fields]
        self.responses[stream_id] = Response("2")
        self.h2.send_headers(stream_id, [(n.encode(), v.encode("latin-1")) for n, v in head],
                             end_stream=end_stream)
        self.flush()
        return stream_id

    def send(self, stream_id, data, end_stream=False):
        view = memoryview(data)
        while len(view) or end_stream:
            if stream_id in self.done:
                return
            room = min(self.h2.local_flow_control_window(stream_id),
                       self.h2.max_outbound_frame_size, len(view))
            if len(view) and not room:
                self.turn()
                continue
            last = end_stream and room == len(view)
            self.h2.send_data(stream_id, bytes(view[:room]), end_stream=last)
            self.flush()
            view = view[room:]
            if last:
                return

    def finish(self, stream_id):
        while stream_id not in self.done:
            self.turn()
        response, code = self.responses.pop(stream_id), self.done[stream_id]
        if code not in (None, 0) or response.status is None:
            raise StreamEnded("RST_STREAM %s" % code, code, response)
        return response

    def request(self, method="GET", path="/", fields=(), body=None, authority=None,
                scheme="https"):
        fields = list(fields)
        names = {name.lower(): value for name, value in fields}
        whole = isinstance(body, (bytes, bytearray))
        if whole and "content-length" not in names:
            fields.append(("content-length", str(len(body))))
        stream_id = self.open(method, path, fields, authority, body is None, scheme)
        if body is not None:
            if names.get("expect", "").lower() == "100-continue":
                stream = self.responses[stream_id]
                while not stream.interim and stream.status is None and stream_id not in self.done:
                    self.turn()
                if stream.status is not None:
                    return self.finish(stream_id)
            for piece in ([body] if whole else body):
                self.send(stream_id, piece)
            self.send(stream_id, b"", end_stream=True)
        return self.finish(stream_id)
