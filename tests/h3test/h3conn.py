# SPDX-License-Identifier: Apache-2.0
"""HTTP/3 on aioquic's QUIC, with a frame layer of its own.

Nothing runs behind the test's back: a connection sends and receives only while one of its methods
(or pump()) waits, so a test that stops calling is a client that has gone away. The frame layer is
this file's, not aioquic's, because tests must see and send what a well-behaved one would hide.
"""
import os
import select
import socket
import ssl
import time

import pylsqpack
from aioquic.buffer import Buffer, encode_uint_var
from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection, QuicConnectionState
from aioquic.quic.packet import pull_quic_transport_parameters, push_quic_transport_parameters
from aioquic.tls import Epoch

from .response import ConnectionEnded, Response, StreamEnded
from .wait import bound

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
    """(value, offset behind it), or (None, offset) where it is not all there yet."""
    if offset >= len(data):
        return None, offset
    size = 1 << (data[offset] >> 6)
    if offset + size > len(data):
        return None, offset
    return int.from_bytes(data[offset:offset + size], "big") & ((1 << (8 * size - 2)) - 1), \
        offset + size


class Quic(QuicConnection):
    """aioquic's connection with the few openings that tests need."""

    def __init__(self, *, signature_algorithms=None, dcid=None, parameters=None, **kwargs):
        super().__init__(**kwargs)
        self.hold_credit = False
        self._other_parameters = parameters or {}
        self.peer_parameters = None
        self._wanted_signatures = signature_algorithms
        if dcid is not None:
            self._peer_cid.cid = dcid
            self._original_destination_connection_id = dcid

    def _initialize(self, peer_cid):
        super()._initialize(peer_cid)
        if self._wanted_signatures is not None:
            self.tls._signature_algorithms = list(self._wanted_signatures)

    def _parse_transport_parameters(self, data, from_session_ticket=False):
        if not from_session_ticket:
            self.peer_parameters = pull_quic_transport_parameters(Buffer(data=data))
        return super()._parse_transport_parameters(data, from_session_ticket=from_session_ticket)

    def _serialize_transport_parameters(self):
        data = super()._serialize_transport_parameters()
        if not self._other_parameters:
            return data
        said = pull_quic_transport_parameters(Buffer(data=data))
        for name, value in self._other_parameters.items():
            setattr(said, name, value)
        buf = Buffer(capacity=1024)
        push_quic_transport_parameters(buf, said)
        return buf.data

    def _write_stream_limits(self, *args, **kwargs):
        if not self.hold_credit:
            super()._write_stream_limits(*args, **kwargs)

    def _write_connection_limits(self, *args, **kwargs):
        if not self.hold_credit:
            super()._write_connection_limits(*args, **kwargs)

    @property
    def closed_by_peer(self):
        """The ConnectionTerminated that the server's CONNECTION_CLOSE will become, or None."""
        return self._close_event if self._state is QuicConnectionState.DRAINING else None

    @property
    def peer_ids(self):
        """[(connection ID, stateless reset token)] of the server that we have not retired."""
        return [(c.cid, c.stateless_reset_token)
                for c in [self._peer_cid] + self._peer_cid_available]

    def use_peer_id(self, cid):
        """From here on address the server by this one of its connection IDs."""
        for have in self._peer_cid_available:
            if have.cid == cid:
                self._peer_cid_available.remove(have)
                self._peer_cid_available.append(self._peer_cid)
                self._peer_cid = have
                return
        raise ValueError("the server did not give us this connection ID")

    @property
    def cipher(self):
        return self.tls.key_schedule.cipher_suite.name

    @property
    def server_certificate(self):
        return self.tls._peer_certificate

    @property
    def server_chain(self):
        return self.tls._peer_certificate_chain


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

    def _take(self, data, end):
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

    def _resume(self):
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
        stream = self.conn.quic._streams.get(self.id)
        return 0 if stream is None else len(stream.sender._buffer)

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


class H3Conn:
    version = "3"

    def __init__(self, address, port, *, ca_file=None, sni="h3.test", alpn=("h3",), local=None,
                 ticket=None, timeout=15, connect=True, h3=True, verify=True, idle_timeout=60.0,
                 settings=((QPACK_MAX_TABLE_CAPACITY, 4096), (QPACK_BLOCKED_STREAMS, 16)),
                 max_data=1 << 20, max_stream_data=1 << 20, cipher_suites=None,
                 signature_algorithms=None, keylog=None, qlog=None, versions=None, dcid=None,
                 parameters=None):
        """sni None sends no SNI; the certificate is then checked for the address. parameters:
        transport parameters that the client says other than it does, in milliseconds."""
        info = socket.getaddrinfo(address, port, type=socket.SOCK_DGRAM)[0]
        self.family, self.peer = info[0], info[4]
        self.port, self.sni = port, sni
        self.authority = sni or ("[%s]" % address if ":" in address else address)
        config = QuicConfiguration(
            is_client=True, alpn_protocols=list(alpn), server_name=sni or address,
            cafile=ca_file, session_ticket=ticket, idle_timeout=idle_timeout, max_data=max_data,
            max_stream_data=max_stream_data, secrets_log_file=keylog, quic_logger=qlog,
            cipher_suites=cipher_suites,
            verify_mode=ssl.CERT_REQUIRED if verify and ca_file else ssl.CERT_NONE)
        if versions:
            config.supported_versions = list(versions)
        self.tickets = []
        self.quic = Quic(configuration=config, session_ticket_handler=self.tickets.append,
                         signature_algorithms=signature_algorithms, dcid=dcid,
                         parameters=parameters)
        self.sock = self._new_socket(local)
        self.settings = dict(settings)
        self.peer_settings = None
        self.goaway = None          # the last GOAWAY's stream ID
        self.goaways = []
        self.handshake = None       # HandshakeCompleted
        self.ended = None           # ConnectionTerminated
        self.stateless_reset = False
        self.streams = {}
        self.sent = []              # sizes of datagrams
        self.received = []
        self.strangers = []         # (address, datagram) that came from elsewhere than the peer
        self.pings = set()
        self.events = []
        self.on_send = None         # fn(datagram) -> datagram to send, or None to lose it
        self.on_receive = None
        self.decoder = pylsqpack.Decoder(self.settings.get(QPACK_MAX_TABLE_CAPACITY, 0),
                                         self.settings.get(QPACK_BLOCKED_STREAMS, 0))
        self.encoder = pylsqpack.Encoder()
        self._encoder_stream = self._decoder_stream = self.control_stream = None
        self._uni = {}              # server's unidirectional streams: id -> [type, buffer, ended]
        self.uni_bytes = {}         # stream type -> bytes received
        self._speak_h3 = h3
        self.closed = False
        if connect:
            try:
                self.connect(timeout)
            except BaseException:
                self.abandon()
                raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # -- sockets and time

    def _new_socket(self, local):
        sock = socket.socket(self.family, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 21)
        if local is not None:
            sock.bind((local, 0) if isinstance(local, str) else local)
        else:
            sock.bind(("::" if self.family == socket.AF_INET6 else "0.0.0.0", 0))
        return sock

    @property
    def local_port(self):
        return self.sock.getsockname()[1]

    def fileno(self):
        return self.sock.fileno()

    def flush(self):
        """Sends what QUIC has to send now."""
        for data, _ in self.quic.datagrams_to_send(time.monotonic()):
            if self.on_send is not None:
                data = self.on_send(data)
            if data is None:
                continue
            self.sent.append(len(data))
            self._send(data)

    def _send(self, data):
        try:
            self.sock.sendto(data, self.peer)
        except (BlockingIOError, ConnectionRefusedError):
            pass                    # lost, as a datagram may be; QUIC repeats it

    def send_frames(self, frames, first=0x40):
        """A 1-RTT packet of these frames as they are, past the client's own state."""
        quic, crypto = self.quic, self.quic._cryptos[Epoch.ONE_RTT]
        number, quic._packet_number = quic._packet_number, quic._packet_number + 1
        head = bytes([first | crypto.key_phase << 2 | 3]) + quic._peer_cid.cid
        self._send(crypto.encrypt_packet(head + number.to_bytes(4, "big"), frames, number))

    def _is_reset(self, data):
        tokens = [token for _, token in self.quic.peer_ids if token]
        return len(data) >= 21 and not data[0] & 0x80 and data[-16:] in tokens

    def _receive(self):
        for _ in range(64):
            try:
                data, peer = self.sock.recvfrom(65536)
            except (BlockingIOError, ConnectionRefusedError):
                return
            if peer[:2] != self.peer[:2]:
                self.strangers.append((peer, data))
                continue
            if self.on_receive is not None:
                data = self.on_receive(data)
                if data is None:
                    continue
            self.received.append(len(data))
            if self._is_reset(data):
                self.stateless_reset = True
            self.quic.receive_datagram(data, self.peer, time.monotonic())
            self._events()
            if self.quic.closed_by_peer is not None and self.ended is None:
                # Not after the draining period only: what comes in it changes nothing.
                self.ended = self.quic.closed_by_peer

    def discard(self):
        """Loses every datagram that waits in the socket."""
        try:
            while True:
                self.sock.recvfrom(65536)
        except BlockingIOError:
            pass

    def turn(self, limit=0.05):
        """One turn of the loop: send, wait at most `limit` s for a datagram, run due timers."""
        self.flush()
        timer = self.quic.get_timer()
        wait = limit if timer is None else max(0.0, min(limit, timer - time.monotonic()))
        ready, _, _ = select.select([self.sock], [], [], wait)
        self.after_select(bool(ready))

    def after_select(self, readable):
        if readable:
            self._receive()
        now = time.monotonic()
        timer = self.quic.get_timer()
        if timer is not None and now >= timer:
            self.quic.handle_timer(now)
        self._events()
        self.flush()

    def pump(self, seconds):
        """Lets the connection live for so long."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.ended is None and not self.stateless_reset:
            self.turn(max(0.0, min(0.05, deadline - time.monotonic())))

    def wait(self, condition, timeout=15):
        """Until condition() is true; ConnectionEnded if the connection ends first."""
        deadline = time.monotonic() + bound(timeout)
        while not condition():
            if self.ended is not None:
                raise self._how_it_ended()
            if self.stateless_reset:
                raise ConnectionEnded("stateless reset")
            if time.monotonic() > deadline:
                raise TimeoutError("HTTP/3: nothing within %gs; datagrams sent %d, received %d" % (
                    bound(timeout), len(self.sent), len(self.received)))
            self.turn()

    def _how_it_ended(self):
        code, reason = self.ended.error_code, self.ended.reason_phrase
        transport = self.ended.frame_type is not None
        return ConnectionEnded("connection ended: %s %s %r" % (
            "transport" if transport else "application",
            hex(code) if transport else NAMES.get(code, hex(code)), reason), code, reason,
            transport)

    def wait_end(self, timeout=15):
        """Until the connection has ended; returns how, as a ConnectionEnded."""
        try:
            self.wait(lambda: False, timeout)
        except ConnectionEnded as exc:
            return exc

    # -- life of the connection

    def connect(self, timeout=15):
        self.quic.connect(self.peer, time.monotonic())
        self.wait(lambda: self.handshake is not None, timeout)
        if self._speak_h3:
            self.start_h3()
        self.flush()

    def start_h3(self):
        """Opens our three critical streams and says our SETTINGS."""
        self.control_stream = self.open_uni(STREAM_CONTROL)
        self._encoder_stream = self.open_uni(STREAM_ENCODER)
        self._decoder_stream = self.open_uni(STREAM_DECODER)
        self.quic.send_stream_data(self.control_stream, settings_frame(self.settings.items()))
        self._set_up_encoder()
        self.flush()

    def _set_up_encoder(self):
        """Once there are our streams and the server's SETTINGS, whichever comes first."""
        if self._encoder_stream is not None and self.peer_settings is not None:
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
            self.quic.send_stream_data(self._encoder_stream, data)

    def send_decoder(self, data):
        if data:
            self.quic.send_stream_data(self._decoder_stream, data)

    def close(self, code=H3_NO_ERROR, reason=""):
        """Says CONNECTION_CLOSE (once) and forgets the socket."""
        if self.closed:
            return
        if self.ended is None and self.handshake is not None:
            self.quic.close(error_code=code, reason_phrase=reason)
            self.flush()
        self.abandon()

    def abandon(self):
        """Goes away without a word."""
        self.closed = True
        self.sock.close()

    def rebind(self, local=None):
        """From here on from another port, as after a NAT rebinding; returns the old socket."""
        old, self.sock = self.sock, self._new_socket(local)
        return old

    def ping(self, timeout=15):
        """Until the server has acknowledged a PING."""
        uid = int.from_bytes(os.urandom(4), "big")
        self.quic.send_ping(uid)
        self.wait(lambda: uid in self.pings, timeout)

    # -- what comes

    def _events(self):
        while True:
            event = self.quic.next_event()
            if event is None:
                return
            self._event(event)

    def _event(self, event):
        if isinstance(event, events.HandshakeCompleted):
            self.handshake = event
        elif isinstance(event, events.ConnectionTerminated):
            self.ended = event
        elif isinstance(event, events.PingAcknowledged):
            self.pings.add(event.uid)
        elif isinstance(event, events.StreamDataReceived):
            if event.stream_id in self.streams:
                self.streams[event.stream_id]._take(event.data, event.end_stream)
            elif event.stream_id & 3 == 3:
                self._take_uni(event)
        elif isinstance(event, events.StreamReset):
            if event.stream_id in self.streams:
                self.streams[event.stream_id].reset_code = event.error_code
        elif isinstance(event, events.StopSendingReceived):
            if event.stream_id in self.streams:
                self.streams[event.stream_id].stop_code = event.error_code
        self.events.append(event)

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
                self.streams[stream_id]._resume()
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


def pump_all(conns, condition, timeout=30):
    """Drives several connections at once until condition() is true."""
    deadline = time.monotonic() + bound(timeout)
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("HTTP/3: not within %gs on %d connections" % (
                bound(timeout), len(conns)))
        alive = [c for c in conns if c.ended is None and not c.closed]
        for conn in alive:
            conn.flush()
        ready, _, _ = select.select(alive, [], [], 0.02)
        for conn in alive:
            conn.after_select(conn in ready)
