# SPDX-License-Identifier: Apache-2.0
"""A network between client and server that loses, delays, repeats and reorders datagrams, and a NAT
that forgets. Everything it does follows from its seed and the order of the datagrams."""
import heapq
import random
import select
import socket
import threading
import time

from . import ports

UP, DOWN = "up", "down"             # towards the server, towards the client


class Plan:
    """What happens to the datagrams of one direction."""

    def __init__(self, loss=0.0, twice=0.0, late=0.0, lateness=0.01, lose=(), repeat=(), delay=0.0,
                 largest=65535, after=0):
        """lose, repeat: the numbers, from 0, of the datagrams to lose and to deliver twice; loss,
        twice and late are chances; a late datagram comes `lateness` seconds after its turn. After
        so many bytes, datagrams of more than `largest` vanish."""
        self.largest, self.after = largest, after
        self.loss, self.twice, self.late, self.lateness = loss, twice, late, lateness
        self.lose, self.repeat, self.delay = frozenset(lose), frozenset(repeat), delay

    def fate(self, number, dice):
        """When copies of the datagram arrive, in seconds from now."""
        if number in self.lose or dice.random() < self.loss:
            return []
        first = self.delay + (self.lateness if dice.random() < self.late else 0)
        if number in self.repeat or dice.random() < self.twice:
            return [first, first + self.lateness]
        return [first]


class Wire:
    """Datagrams to `port` (127.0.0.1) arrive at the server's; each client has a port of its own
    towards the server, as behind a NAT."""

    def __init__(self, server_port, up=None, down=None, seed=1):
        self.port = ports.free_port()
        self.plans = {UP: up or Plan(), DOWN: down or Plan()}
        self.seen = {UP: 0, DOWN: 0}        # datagrams that came
        self.lost = {UP: 0, DOWN: 0}
        self.passed = {UP: 0, DOWN: 0}      # bytes delivered
        self.forged = self.stolen = 0       # bytes sent by forge(), and what they brought
        self._forge = 0
        self._server = ("127.0.0.1", server_port)
        self._dice = random.Random(seed)
        self._front = self._socket(("127.0.0.1", self.port))
        self._nat = {}                      # client address -> socket towards the server
        self._old = []                      # mappings that the NAT has forgotten
        self._stranger = self._socket(("127.0.0.1", 0))
        self._due, self._turn = [], 0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        for sock in [self._front, self._stranger, *self._nat.values(), *self._old]:
            sock.close()

    @property
    def address(self):
        return "127.0.0.1:%d" % self.port

    @staticmethod
    def _socket(address):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.bind(address)
        sock.setblocking(False)
        return sock

    def rebind(self):
        """The NAT forgets: all go on from new ports, and what comes to the old ones is lost."""
        with self._lock:
            for client, sock in list(self._nat.items()):
                self._old.append(sock)
                self._nat[client] = self._socket(("127.0.0.1", 0))

    def outer_ports(self):
        """The ports that the server sees now."""
        with self._lock:
            return [sock.getsockname()[1] for sock in self._nat.values()]

    def forge(self, number):
        """Somebody on the way sends a copy of each of the next `number` datagrams of the client
        first, from an address where no answer is taken."""
        self._forge = number

    def _run(self):
        while not self._stop.is_set():
            with self._lock:
                socks = [self._front, self._stranger, *self._nat.values()]
            wait = 0.02
            if self._due:
                wait = max(0.0, min(wait, self._due[0][0] - time.monotonic()))
            ready, _, _ = select.select(socks, [], [], wait)
            for sock in ready:
                self._drain(sock)
            self._deliver()

    def _drain(self, sock):
        for _ in range(64):
            try:
                data, peer = sock.recvfrom(65536)
            except (BlockingIOError, ConnectionRefusedError):
                return
            if sock is self._stranger:
                self.stolen += len(data)
            elif sock is self._front:
                self._route(UP, data, peer)
            elif peer == self._server:
                self._route(DOWN, data, sock)

    def _route(self, way, data, end):
        number = self.seen[way]
        self.seen[way] += 1
        plan = self.plans[way]
        fate = plan.fate(number, self._dice)
        if len(data) > plan.largest and self.passed[way] >= plan.after:
            fate = []
        self.lost[way] += not fate
        now = time.monotonic()
        for after in fate:
            self._turn += 1
            if after:
                heapq.heappush(self._due, (now + after, self._turn, way, data, end))
            else:
                self._send(way, data, end)

    def _deliver(self):
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            _, _, way, data, end = heapq.heappop(self._due)
            self._send(way, data, end)

    def _send(self, way, data, end):
        self.passed[way] += len(data)
        try:
            if way == UP:
                if self._forge:
                    self._forge -= 1
                    self.forged += len(data)
                    self._stranger.sendto(data, self._server)
                self._outer(end).sendto(data, self._server)
            else:
                client = self._inner(end)
                if client is not None:
                    self._front.sendto(data, client)
        except (BlockingIOError, ConnectionRefusedError):
            pass                    # a full queue loses datagrams

    def _outer(self, client):
        with self._lock:
            if client not in self._nat:
                self._nat[client] = self._socket(("127.0.0.1", 0))
            return self._nat[client]

    def _inner(self, sock):
        with self._lock:
            for client, have in self._nat.items():
                if have is sock:
                    return client
        return None                 # a mapping that is forgotten
