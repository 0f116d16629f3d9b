# SPDX-License-Identifier: Apache-2.0
"""A QUIC connection over a UDP socket: datagrams and timers, how it is lost and how it moves.

Nothing runs behind the test's back: a connection sends and receives only while one of its methods
(or pump()) waits, so a test that stops calling is a client that has gone away. What its streams
carry is its owner's business; nothing here knows HTTP/3.
"""
import os
import select
import socket
import time

from aioquic.quic import events

from .quic import Quic
from .response import ConnectionEnded
from .wait import bound


class Transport:
    """take(event) is called with each of aioquic's events; code_names: {error code: its name} of
    the application's errors. Nothing is sent before begin()."""

    def __init__(self, address, port, settings, take, code_names=None):
        info = socket.getaddrinfo(address, port, type=socket.SOCK_DGRAM)[0]
        self.family, self.peer = info[0], info[4]
        self._take, self._code_names = take, code_names or {}
        self.tickets = []
        self.quic = Quic(settings, settings.sni or address, self.tickets.append)
        self.sock = self.new_socket(settings.local)     # a test may put in another
        self.handshake = None       # HandshakeCompleted
        self.ended = None           # ConnectionTerminated
        self.stateless_reset = False
        self.closed = False
        self.sent = []              # sizes of datagrams
        self.received = []
        self.strangers = []         # (address, datagram) that came from elsewhere than the peer
        self.on_send = None         # fn(datagram) -> datagram to send, or None to lose it
        self.on_receive = None
        self._pings = set()         # those that have been acknowledged

    # -- sockets

    def new_socket(self, local=None):
        """One more socket to the server; from any port, from an address or (address, port)."""
        sock = socket.socket(self.family, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 21)
        if local is not None:
            sock.bind((local, 0) if isinstance(local, str) else local)
        else:
            sock.bind(("::" if self.family == socket.AF_INET6 else "0.0.0.0", 0))
        return sock

    def rebind(self, local=None):
        """From here on from another port, as after a NAT rebinding; returns the old socket."""
        old, self.sock = self.sock, self.new_socket(local)
        return old

    @property
    def local_port(self):
        return self.sock.getsockname()[1]

    def fileno(self):
        return self.sock.fileno()

    # -- datagrams

    def flush(self):
        """Sends what QUIC has to send now."""
        for data, _ in self.quic.datagrams_to_send(time.monotonic()):
            if self.on_send is not None:
                data = self.on_send(data)
            if data is None:
                continue
            self.sent.append(len(data))
            self.send_datagram(data)

    def send_datagram(self, data):
        """Sends these bytes, of which QUIC knows nothing."""
        try:
            self.sock.sendto(data, self.peer)
        except (BlockingIOError, ConnectionRefusedError):
            pass                    # lost, as a datagram may be; QUIC repeats it

    def send_frames(self, frames, first=0x40):
        """A 1-RTT packet of these frames as they are, past the client's own state."""
        self.send_datagram(self.quic.packet(frames, first))

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
            if self.quic.is_stateless_reset(data):
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

    def _events(self):
        while True:
            event = self.quic.next_event()
            if event is None:
                return
            if isinstance(event, events.HandshakeCompleted):
                self.handshake = event
            elif isinstance(event, events.ConnectionTerminated):
                self.ended = event
            elif isinstance(event, events.PingAcknowledged):
                self._pings.add(event.uid)
            self._take(event)

    # -- time

    def turn(self, limit=0.05):
        """One turn of the loop: send, wait at most `limit` s for a datagram, run due timers."""
        self.flush()
        timer = self.quic.get_timer()
        wait = limit if timer is None else max(0.0, min(limit, timer - time.monotonic()))
        ready, _, _ = select.select([self.sock], [], [], wait)
        self.after_select(bool(ready))

    def after_select(self, readable):
        """The second half of a turn, for a loop over several connections."""
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
                raise self.how_it_ended()
            if self.stateless_reset:
                raise ConnectionEnded("stateless reset")
            if time.monotonic() > deadline:
                raise TimeoutError("QUIC: nothing within %gs; datagrams sent %d, received %d" % (
                    bound(timeout), len(self.sent), len(self.received)))
            self.turn()

    # -- life

    def begin(self):
        """Starts the handshake; the first datagrams are sent by the next turn."""
        self.quic.connect(self.peer, time.monotonic())

    def ping(self, timeout=15):
        """Until the server has acknowledged a PING."""
        uid = int.from_bytes(os.urandom(4), "big")
        self.quic.send_ping(uid)
        self.wait(lambda: uid in self._pings, timeout)

    def how_it_ended(self):
        """What `ended` says, as a ConnectionEnded."""
        code, reason = self.ended.error_code, self.ended.reason_phrase
        transport = self.ended.frame_type is not None
        return ConnectionEnded("connection ended: %s %s %r" % (
            "transport" if transport else "application",
            hex(code) if transport else self._code_names.get(code, hex(code)), reason), code,
            reason, transport)

    def wait_end(self, timeout=15):
        """Until the connection has ended; returns how, as a ConnectionEnded."""
        try:
            self.wait(lambda: False, timeout)
        except ConnectionEnded as exc:
            return exc

    def close(self, code, reason=""):
        """Says CONNECTION_CLOSE of the application (once) and forgets the socket."""
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


def pump_all(conns, condition, timeout=30):
    """Drives several connections at once until condition() is true."""
    deadline = time.monotonic() + bound(timeout)
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("QUIC: not within %gs on %d connections" % (
                bound(timeout), len(conns)))
        alive = [c for c in conns if c.ended is None and not c.closed]
        for conn in alive:
            conn.flush()
        ready, _, _ = select.select(alive, [], [], 0.02)
        for conn in alive:
            conn.after_select(conn in ready)
