# SPDX-License-Identifier: Apache-2.0
"""HTTP/3 on a connection of transport.py, with a frame layer of its own: tests must see and send
what that of a well-behaved library would hide."""
import dataclasses
import operator

import pylsqpack
from aioquic.buffer import encode_uint_var
from aioquic.quic import events

from .quic import QuicSettings
from .response import ConnectionEnded, Response, StreamEnded
from .transport import Transport

DATA, HEADERS, CANCEL_PUSH, SETTINGS, PUSH_PROMISE, GOAWAY, MAX_PUSH_ID = 0, 1, 3, 4, 5, 7, 13
STREAM_CONTROL, STREAM_PUSH, STREAM_ENCODER, STREAM_DECODER = 0, 1, 2, 3
QPACK_MAX_TABLE_CAPACITY, MAX_FIELD_SECTION_SIZE, QPACK_BLOCKED_STREAMS = 1, 6, 7
H3_NO_ERROR, H3_REQUEST_REJECTED, H3_REQUEST_CANCELLED = 0x100, 0x10b, 0x10c
H3_MESSAGE_ERROR = 0x10e
NAMES = {0x100: "H3_NO_ERROR", 0x101: "H3_GENERAL_PROTOCOL_ERROR", 0x102: "H3_INTERNAL_ERROR",
         0x103: "H3_STREAM_CREATION_ERROR", 0x104: "H3_CLOSED_CRITICAL_STREAM",
         0x105: "H3_FRAME_UNEXPECTED", 0x106: "H3_FRAME_ERROR", 0x107: "H3_EXCESSIVE_LOAD",
         0x108: "H3_ID_ERROR", 0x109: "H3_SETTINGS_ERROR", 0x10a: "H3_MISSING_SETTINGS",
         0x10b: "H3_REQUEST_REJECTED", 0x10c: "H3_REQUEST_CANCELLED",
         0x10d: "H3_REQUEST_INCOMPLETE", 0x10e: "H3_MESSAGE_ERROR", 0x10f: "H3_CONNECT_ERROR",
         0x200: "QPACK_DECOMPRESSION_FAILED", 0x201: "QPACK_ENCODER_STREAM_ERROR",
         0x202: "QPACK_DECODER_STREAM_ERROR"}


def frame(kind, payload=b""):
    return encode_uint_var(kind) + encode_uint_var(len(payload)) + payload


def settings_frame(settings):
    return frame(SETTINGS, b"".join(encode_uint_var(k) + encode_uint_var(v) for k, v in settings))


def _varint(data, offset):
    """(value, offset after it), or (None, offset) where it is not all there yet."""
    if offset >= len(data):
        return None, offset
    size = 1 << (data[offset] >> 6)
    if offset + size > len(data):
        return None, offset
    return int.from_bytes(data[offset:offset + size], "big") & ((1 << (8 * size - 2)) - 1), \
        offset + size


@dataclasses.dataclass(frozen=True, kw_only=True)
class H3Settings(QuicSettings):
    """The one object that says what a client is: of TLS, of QUIC, and here of HTTP/3."""

    connect: bool = True                # False: the test takes the steps of connect() by itself
    timeout: float = 15                 # seconds for the handshake
    start_h3: bool = True               # False: connected, it opens none of its critical streams
    qpack_table_capacity: int = 4096    # bytes; our SETTINGS
    qpack_blocked_streams: int = 16


class Stream:
    """One request stream as the client sees it."""

    def __init__(self, conn, stream_id):
        self.conn, self.id = conn, stream_id
        self.response = Response("3")
        self.frames = []            # [(type, length)] in the order of arrival
        self.ended = False          # FIN seen
        self.reset_code = None      # RESET_STREAM seen
        self.stop_code = None       # STOP_SENDING seen
        self.keep_body = True
        self.received = 0           # bytes of DATA payload
        self._buffer = b""
        self._data_left = 0
        self._blocked = False

    def take(self, data, end):
        """What has come on it."""
        self._buffer += data
        self.ended = self.ended or end
        self._parse()

    def _parse(self):
        while self._buffer and not self._blocked:
            if self._data_left:
                piece = self._buffer[:self._data_left]
                self._buffer = self._buffer[len(piece):]
                self._data_left -= len(piece)
                self.received += len(piece)
                if self.keep_body:
                    self.response.body += piece
                continue
            kind, offset = _varint(self._buffer, 0)
            length, offset = (None, 0) if kind is None else _varint(self._buffer, offset)
            if length is None:
                return
            if kind == DATA:
                self.frames.append((kind, length))
                self._buffer, self._data_left = self._buffer[offset:], length
                continue
            if len(self._buffer) < offset + length:
                return
            payload = self._buffer[offset:offset + length]
            self._buffer = self._buffer[offset + length:]
            self.frames.append((kind, length))
            if kind == HEADERS:
                self._headers(payload)

    def _headers(self, payload):
        try:
            control, fields = self.conn.decoder.feed_header(self.id, payload)
        except pylsqpack.StreamBlocked:
            self._blocked = True
            return
        self.conn.send_decoder(control)
        self._fields(fields)

    def resume(self):
        """QPACK has what its head waited for."""
        control, fields = self.conn.decoder.resume_header(self.id)
        self.conn.send_decoder(control)
        self._blocked = False
        self._fields(fields)
        self._parse()

    def _fields(self, raw):
        fields = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in raw]
        if fields and fields[0][0] == ":status":
            status = int(fields[0][1])
            plain = [f for f in fields if f[0] != ":status"]
            if status < 200:
                self.response.interim.append((status, plain))
            else:
                assert self.response.status is None, "two final heads on stream %d" % self.id
                self.response.status, self.response.fields = status, plain
        else:
            self.response.trailers = fields

    @property
    def done(self):
        return (self.ended and not self._blocked) or self.reset_code is not None

    def send(self, data, end=False):
        """A piece of the request body, in a DATA frame."""
        self.conn.quic.send_stream_data(self.id, frame(DATA, data) if data else b"", end)
        self.conn.flush()

    def send_body(self, pieces, window=1 << 18, timeout=60):
        """A long body, never more than `window` bytes of it waiting in this process."""
        for piece in pieces:
            self.conn.quic.send_stream_data(self.id, frame(DATA, piece))
            self.conn.wait(lambda: self.done or self.stop_code is not None
                           or self.unsent() < window, timeout)
            if self.done or self.stop_code is not None:
                return
        self.conn.quic.send_stream_data(self.id, b"", True)
        self.conn.flush()

    def unsent(self):
        """The bytes that have not been sent, or not been acknowledged."""
        return self.conn.quic.unsent(self.id)

    def raw(self, data, end=False):
        self.conn.quic.send_stream_data(self.id, data, end)
        self.conn.flush()

    def reset(self, code=H3_REQUEST_CANCELLED):
        self.conn.quic.reset_stream(self.id, code)
        self.conn.flush()

    def stop_sending(self, code=H3_REQUEST_CANCELLED):
        self.conn.quic.stop_stream(self.id, code)
        self.conn.flush()

    def wait_head(self, timeout=15):
        self.conn.wait(lambda: self.response.status is not None or self.done, timeout)
        return self.response

    def finish(self, timeout=30):
        """The whole response; StreamEnded where the server reset the stream."""
        self.conn.wait(lambda: self.done, timeout)
        if self.reset_code is not None:
            raise StreamEnded("stream %d reset with %s" % (
                self.id, NAMES.get(self.reset_code, hex(self.reset_code))), self.reset_code,
                self.response)
        if self._data_left or self._buffer or self.response.status is None:
            raise ConnectionEnded("stream %d ended inside a frame or before its head" % self.id)
        length = self.response.get("content-length")
        if length is not None and self.response.body and self.keep_body:
            assert len(self.response.body) == int(length), "content-length is wrong"
        return self.response


def _of_transport(name):
    return property(operator.attrgetter("transport." + name))


class H3Conn:
    """A client of HTTP/3. Its transport is `transport`, aioquic's connection in that is `quic`."""

    version = "3"
    # No others: what is set here by mistake, and not on the transport, would do nothing.
    __slots__ = ("settings", "port", "transport", "authority", "peer_settings", "goaway", "goaways",
                 "streams", "uni_bytes", "control_stream", "encoder_stream", "decoder_stream",
                 "decoder", "encoder", "_uni")

    def __init__(self, address, port, settings=H3Settings()):
        self.settings, self.port = settings, port
        self.transport = Transport(address, port, settings, self._event, NAMES)
        self.authority = settings.sni or ("[%s]" % address if ":" in address else address)
        self.peer_settings = None
        self.goaway = None          # the last GOAWAY's stream ID
        self.goaways = []
        self.streams = {}
        self.uni_bytes = {}         # the server's stream type -> bytes received
        self.control_stream = self.encoder_stream = self.decoder_stream = None
        self.decoder = pylsqpack.Decoder(settings.qpack_table_capacity,
                                         settings.qpack_blocked_streams)
        self.encoder = pylsqpack.Encoder()
        self._uni = {}              # server's unidirectional streams: id -> [type, buffer]
        if settings.connect:
            try:
                self.connect(settings.timeout)
            except BaseException:
                self.abandon()
                raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # -- the transport's, at hand

    quic = _of_transport("quic")
    sock = _of_transport("sock")
    local_port = _of_transport("local_port")
    tickets = _of_transport("tickets")
    handshake = _of_transport("handshake")
    ended = _of_transport("ended")
    stateless_reset = _of_transport("stateless_reset")
    closed = _of_transport("closed")
    received = _of_transport("received")
    begin = _of_transport("begin")
    flush = _of_transport("flush")
    turn = _of_transport("turn")
    pump = _of_transport("pump")
    wait = _of_transport("wait")
    wait_end = _of_transport("wait_end")
    how_it_ended = _of_transport("how_it_ended")
    ping = _of_transport("ping")
    rebind = _of_transport("rebind")
    abandon = _of_transport("abandon")
    fileno = _of_transport("fileno")
    after_select = _of_transport("after_select")

    # -- life of the connection

    def connect(self, timeout=15):
        """The handshake, and our critical streams."""
        self.begin()
        self.wait(lambda: self.handshake is not None, timeout)
        if self.settings.start_h3:
            self.start_h3()
        self.flush()

    def start_h3(self):
        """Opens our three critical streams and says our SETTINGS."""
        self.control_stream = self.open_uni(STREAM_CONTROL)
        self.encoder_stream = self.open_uni(STREAM_ENCODER)
        self.decoder_stream = self.open_uni(STREAM_DECODER)
        self.quic.send_stream_data(self.control_stream, settings_frame((
            (QPACK_MAX_TABLE_CAPACITY, self.settings.qpack_table_capacity),
            (QPACK_BLOCKED_STREAMS, self.settings.qpack_blocked_streams))))
        self._set_up_encoder()
        self.flush()

    def _set_up_encoder(self):
        """Once there are our streams and the server's SETTINGS, whichever comes first."""
        if self.encoder_stream is not None and self.peer_settings is not None:
            self.send_encoder(self.encoder.apply_settings(
                self.peer_settings.get(QPACK_MAX_TABLE_CAPACITY, 0),
                self.peer_settings.get(QPACK_BLOCKED_STREAMS, 0)))

    def open_uni(self, kind, data=b"", end=False):
        """A unidirectional stream of this type; returns its ID."""
        stream_id = self.quic.get_next_available_stream_id(is_unidirectional=True)
        self.quic.send_stream_data(stream_id, encode_uint_var(kind) + data, end)
        return stream_id

    def send_control(self, data):
        self.quic.send_stream_data(self.control_stream, data)
        self.flush()

    def send_encoder(self, data):
        if data:
            self.quic.send_stream_data(self.encoder_stream, data)

    def send_decoder(self, data):
        if data:
            self.quic.send_stream_data(self.decoder_stream, data)

    def close(self, code=H3_NO_ERROR, reason=""):
        """Says CONNECTION_CLOSE (once) and forgets the socket."""
        self.transport.close(code, reason)

    # -- what comes

    def _event(self, event):
        if isinstance(event, events.StreamDataReceived):
            if event.stream_id in self.streams:
                self.streams[event.stream_id].take(event.data, event.end_stream)
            elif event.stream_id & 3 == 3:
                self._take_uni(event)
        elif isinstance(event, events.StreamReset):
            if event.stream_id in self.streams:
                self.streams[event.stream_id].reset_code = event.error_code
        elif isinstance(event, events.StopSendingReceived):
            if event.stream_id in self.streams:
                self.streams[event.stream_id].stop_code = event.error_code

    def _take_uni(self, event):
        state = self._uni.setdefault(event.stream_id, [None, b""])
        state[1] += event.data
        if state[0] is None:
            state[0], offset = _varint(state[1], 0)
            if state[0] is None:
                return
            state[1] = state[1][offset:]
        kind, data = state
        self.uni_bytes[kind] = self.uni_bytes.get(kind, 0) + len(event.data)
        if kind == STREAM_CONTROL:
            state[1] = self._take_control(data)
        elif kind == STREAM_ENCODER:
            state[1] = b""
            for stream_id in self.decoder.feed_encoder(data):
                self.streams[stream_id].resume()
        elif kind == STREAM_DECODER:
            state[1] = b""
            self.encoder.feed_decoder(data)

    def _take_control(self, data):
        while True:
            kind, offset = _varint(data, 0)
            length, offset = (None, 0) if kind is None else _varint(data, offset)
            if length is None or len(data) < offset + length:
                return data
            payload, data = data[offset:offset + length], data[offset + length:]
            if kind == SETTINGS:
                self._take_settings(payload)
            elif kind == GOAWAY:
                self.goaway, _ = _varint(payload, 0)
                self.goaways.append(self.goaway)

    def _take_settings(self, payload):
        self.peer_settings, offset = {}, 0
        while offset < len(payload):
            key, offset = _varint(payload, offset)
            self.peer_settings[key], offset = _varint(payload, offset)
        self._set_up_encoder()

    # -- requests

    def encode(self, stream_id, head):
        control, block = self.encoder.encode(
            stream_id, [(n if isinstance(n, bytes) else n.encode("latin-1"),
                         v if isinstance(v, bytes) else v.encode("latin-1")) for n, v in head])
        self.send_encoder(control)
        return block

    def open_stream(self):
        """A request stream on which nothing has been sent yet."""
        stream_id = self.quic.get_next_available_stream_id()
        stream = self.streams[stream_id] = Stream(self, stream_id)
        # aioquic counts a stream as opened by its first write, even of nothing.
        self.quic.send_stream_data(stream_id, b"")
        return stream

    def head(self, method="GET", path="/", fields=(), authority=None, scheme="https"):
        head = [(":method", method), (":scheme", scheme),
                (":authority", authority or self.authority), (":path", path)]
        if authority is False:
            head = [f for f in head if f[0] != ":authority"]
        return head + [(n.lower() if isinstance(n, str) else n, v) for n, v in fields]

    def open(self, method="GET", path="/", fields=(), authority=None, end_stream=True,
             scheme="https", head=None):
        """Sends a request's head. `head` gives the whole list of fields, as it is."""
        stream = self.open_stream()
        if head is None:
            head = self.head(method, path, fields, authority, scheme)
        self.quic.send_stream_data(stream.id, frame(HEADERS, self.encode(stream.id, head)),
                                   end_stream)
        self.flush()
        return stream

    def request(self, method="GET", path="/", fields=(), body=None, authority=None,
                scheme="https", timeout=30, head=None):
        fields = list(fields)
        names = {n.lower(): v for n, v in fields if isinstance(n, str)}
        whole = isinstance(body, (bytes, bytearray))
        if whole and "content-length" not in names:
            fields.append(("content-length", str(len(body))))
        stream = self.open(method, path, fields, authority, body is None, scheme, head)
        if body is not None:
            if names.get("expect", "").lower() == "100-continue":
                self.wait(lambda: stream.response.interim or stream.response.status is not None
                          or stream.done, timeout)
                if stream.response.status is not None:
                    stream.reset()
                    return stream.finish(timeout)
            pieces = [body[i:i + 16384] for i in range(0, len(body), 16384)] if whole else body
            stream.send_body(pieces, timeout=timeout)
        return stream.finish(timeout)
