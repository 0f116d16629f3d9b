# SPDX-License-Identifier: Apache-2.0
"""aioquic's QUIC connection with openings for tests, and what it can be set to.

The one file that reaches into aioquic's privates. A test's client has to say what a well-behaved
library never says, and to keep back what it says by itself; aioquic has no verbs for either. They
are here, so that no test depends on how aioquic is made inside. No socket and no HTTP/3.
"""
import dataclasses
import ssl
import time
from collections.abc import Callable, Mapping, Sequence

from aioquic.buffer import Buffer
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection, QuicConnectionState
from aioquic.quic.packet import pull_quic_transport_parameters, push_quic_transport_parameters
from aioquic.quic.stream import QuicStream
from aioquic.tls import Epoch


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuicSettings:
    """What a client of QUIC does in its handshake and allows the server afterwards."""

    # -- TLS
    ca_file: str | None = None          # the roots it trusts; None: any certificate will do
    verify: bool = True                 # False: any certificate will do, with ca_file too
    sni: str | None = "h3.test"         # None: none is sent, the certificate is for the address
    alpn: Sequence[str] = ("h3",)
    ticket: object = None               # of an earlier connection's `tickets`, to resume it
    cipher_suites: Sequence | None = None           # None of these three: as aioquic has them
    signature_algorithms: Sequence | None = None
    groups: Sequence | None = None                  # for the key exchange

    # -- QUIC
    versions: Sequence[int] | None = None   # in the order of preference; None: aioquic's
    dcid: bytes | None = None           # the first Destination Connection ID; None: a random one
    idle_timeout: float = 60.0          # seconds
    max_data: int = 1 << 20             # bytes that the server may have on its way to us: in all,
    max_stream_data: int = 1 << 20      # and on each stream
    # Transport parameters that it says other than it does, by aioquic's names (milliseconds).
    parameters: Mapping[str, object] = dataclasses.field(default_factory=dict)
    # Of the encoded transport parameters: what is sent in their place, None for no extension.
    rewrite_parameters: Callable[[bytes], bytes | None] | None = None

    # -- the machine
    local: str | tuple | None = None    # the address, or (address, port), that we send from
    keylog: object = None               # a file for the TLS secrets
    qlog: object = None                 # aioquic's QuicLogger

    def configuration(self, server_name):
        """aioquic's, for a connection to this name or address."""
        trusts_some = self.verify and self.ca_file
        config = QuicConfiguration(
            is_client=True, alpn_protocols=list(self.alpn), server_name=server_name,
            cafile=self.ca_file, session_ticket=self.ticket, idle_timeout=self.idle_timeout,
            max_data=self.max_data, max_stream_data=self.max_stream_data,
            secrets_log_file=self.keylog, quic_logger=self.qlog, cipher_suites=self.cipher_suites,
            verify_mode=ssl.CERT_REQUIRED if trusts_some else ssl.CERT_NONE)
        if self.versions:
            config.supported_versions = list(self.versions)
        return config


class Quic(QuicConnection):
    """aioquic's connection, of a client. on_ticket(ticket) is called with each session ticket."""

    def __init__(self, settings, server_name, on_ticket=None):
        super().__init__(configuration=settings.configuration(server_name),
                         session_ticket_handler=on_ticket)
        self.settings = settings
        self.hold_credit = False    # True: no MAX_DATA, no MAX_STREAM_DATA from here on
        self.peer_parameters = None     # the server's transport parameters
        if settings.dcid is not None:
            self._peer_cid.cid = settings.dcid
            self._original_destination_connection_id = settings.dcid

    # -- what aioquic asks itself

    def _initialize(self, peer_cid):
        super()._initialize(peer_cid)
        said = [(kind, data) for kind, data in self.tls.handshake_extensions if data is not None]
        self.tls.handshake_extensions = said
        if self.settings.signature_algorithms is not None:
            self.tls._signature_algorithms = list(self.settings.signature_algorithms)
        if self.settings.groups is not None:
            self.tls._supported_groups = list(self.settings.groups)

    def _parse_transport_parameters(self, data, from_session_ticket=False):
        if not from_session_ticket:
            self.peer_parameters = pull_quic_transport_parameters(Buffer(data=data))
        return super()._parse_transport_parameters(data, from_session_ticket=from_session_ticket)

    def _serialize_transport_parameters(self):
        data = super()._serialize_transport_parameters()
        if self.settings.parameters:
            said = dataclasses.replace(pull_quic_transport_parameters(Buffer(data=data)),
                                       **self.settings.parameters)
            buf = Buffer(capacity=1024)
            push_quic_transport_parameters(buf, said)
            data = buf.data
        rewrite = self.settings.rewrite_parameters
        return data if rewrite is None else rewrite(data)

    def _write_stream_limits(self, *args, **kwargs):
        if not self.hold_credit:
            super()._write_stream_limits(*args, **kwargs)

    def _write_connection_limits(self, *args, **kwargs):
        if not self.hold_credit:
            super()._write_connection_limits(*args, **kwargs)

    # -- the handshake and its end

    @property
    def version(self):
        """The version of QUIC that is spoken."""
        return self._version

    @property
    def has_handshake_keys(self):
        """Whether the server's ServerHello has been read."""
        return self._cryptos[Epoch.HANDSHAKE].recv.is_valid()

    @property
    def cipher(self):
        return self.tls.key_schedule.cipher_suite.name

    @property
    def server_certificate(self):
        return self.tls._peer_certificate

    @property
    def server_chain(self):
        return self.tls._peer_certificate_chain

    @property
    def closed_by_peer(self):
        """The ConnectionTerminated that the server's CONNECTION_CLOSE will become, or None."""
        return self._close_event if self._state is QuicConnectionState.DRAINING else None

    # -- the server's connection IDs

    @property
    def peer_ids(self):
        """[(connection ID, stateless reset token)] of the server that we have not retired."""
        return [(c.cid, c.stateless_reset_token)
                for c in [self._peer_cid] + self._peer_cid_available]

    @property
    def peer_id_number(self):
        """The sequence number of the one that our packets bear."""
        return self._peer_cid.sequence_number

    def use_peer_id(self, cid):
        """From here on address the server by this one of its connection IDs."""
        for have in self._peer_cid_available:
            if have.cid == cid:
                self._peer_cid_available.remove(have)
                self._peer_cid_available.append(self._peer_cid)
                self._peer_cid = have
                return
        raise ValueError("the server did not give us this connection ID")

    def forget_spare_ids(self):
        """Forgets those that no packet of ours bears; returns their sequence numbers."""
        numbers = [have.sequence_number for have in self._peer_cid_available]
        self._peer_cid_available.clear()
        return numbers

    def is_stateless_reset(self, datagram):
        """RFC 9000 section 10.3.1."""
        tokens = [token for _, token in self.peer_ids if token]
        return len(datagram) >= 21 and not datagram[0] & 0x80 and datagram[-16:] in tokens

    # -- packets

    def packet(self, frames, first=0x40):
        """The datagram of a 1-RTT packet of these frames as they are, past our own state."""
        crypto = self._cryptos[Epoch.ONE_RTT]
        number, self._packet_number = self._packet_number, self._packet_number + 1
        head = bytes([first | crypto.key_phase << 2 | 3]) + self._peer_cid.cid
        return crypto.encrypt_packet(head + number.to_bytes(4, "big"), frames, number)

    @property
    def largest_received(self):
        """The number of the server's last 1-RTT packet."""
        return self._spaces[Epoch.ONE_RTT].expected_packet_number - 1

    def acknowledge_now(self):
        """The next datagram acknowledges what has come, if there is no other reason for one."""
        self._spaces[Epoch.ONE_RTT].ack_at = time.monotonic()

    # -- streams

    @property
    def streams_left(self):
        """How many more request streams the server lets us open."""
        return self._remote_max_streams_bidi - self._local_next_stream_id_bidi // 4

    @property
    def max_streams_uni(self):
        """How many unidirectional streams the server lets us open, from the first one on."""
        return self._remote_max_streams_uni

    def assume_max_streams(self, number):
        """Acts as if the server had let us open so many request streams, from the first one on."""
        self._remote_max_streams_bidi = number

    def window(self, stream_id):
        """How many bytes the server lets us send on it beyond those that it has acknowledged."""
        stream = self._streams[stream_id]
        return stream.max_stream_data_remote - stream.sender._buffer_start

    def unsent(self, stream_id):
        """The bytes of a stream that have not been sent, or not been acknowledged."""
        stream = self._streams.get(stream_id)
        return 0 if stream is None else len(stream.sender._buffer)

    def ignore_stop_sending(self, stream_id):
        """From here on STOP_SENDING is not answered with RESET_STREAM on this stream."""
        self._streams[stream_id].sender.reset = lambda error_code: None

    def write_foreign_stream(self, stream_id, data):
        """Sends on a stream that only the server may open."""
        stream = QuicStream(stream_id=stream_id, max_stream_data_remote=1 << 20)
        self._streams[stream_id] = stream
        self._streams_queue.append(stream)
        stream.sender.write(data)
