# SPDX-License-Identifier: Apache-2.0
"""Datagrams made by hand: Initials of any shape, unknown versions, short headers."""
import os
import select
import socket
import struct
import time

from aioquic.buffer import Buffer, encode_uint_var
from aioquic.quic.crypto import CryptoPair
from aioquic.quic.packet import QuicPacketType, pull_ack_frame, pull_quic_header

from .quic import Quic, QuicSettings
from .wait import bound

UDP_SEGMENT = 103                   # linux/udp.h
V1 = 0x00000001
GREASE_VERSION = 0x1a2a3a4a


class Socket:
    """A UDP socket that remembers what it sent and got."""

    def __init__(self, address, port, local=None):
        info = socket.getaddrinfo(address, port, type=socket.SOCK_DGRAM)[0]
        self.peer = info[4]
        self.sock = socket.socket(info[0], socket.SOCK_DGRAM)
        if local:
            self.sock.bind(local)
        self.sock.setblocking(False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, data):
        self.sock.sendto(data, self.peer)

    def send_many(self, data, size):
        """As datagrams of `size` bytes, at most 64 of them, by one system call (GSO)."""
        self.sock.sendmsg([data], [(socket.SOL_UDP, UDP_SEGMENT, struct.pack("H", size))], 0,
                          self.peer)

    def answers(self, seconds, enough=None):
        """The datagrams that come within so many seconds (stops at `enough` of them)."""
        got, deadline = [], time.monotonic() + bound(seconds)
        while enough is None or len(got) < enough:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.sock], [], [], left)[0]:
                break
            try:
                got.append(self.sock.recvfrom(65536)[0])
            except ConnectionRefusedError:
                break
        return got

    def ask(self, data, seconds=1.0):
        """The first answer to this datagram, None if none comes."""
        self.send(data)
        got = self.answers(seconds, 1)
        return got[0] if got else None


def long_header(version, dcid, scid, first=0xc0, tail=b""):
    return (bytes([first]) + version.to_bytes(4, "big") + bytes([len(dcid)]) + dcid
            + bytes([len(scid)]) + scid + tail)


def unknown_version(size=1200, version=GREASE_VERSION, dcid=None, scid=None):
    dcid = os.urandom(8) if dcid is None else dcid
    scid = os.urandom(8) if scid is None else scid
    head = long_header(version, dcid, scid)
    return head + os.urandom(max(0, size - len(head)))


def short_header(size, dcid=None, first=None):
    """A short-header packet that nobody can decrypt."""
    first = 0x40 | (os.urandom(1)[0] & 0x3f) if first is None else first
    dcid = os.urandom(min(20, max(0, size - 1))) if dcid is None else dcid
    body = bytes([first]) + dcid
    return body + os.urandom(max(0, size - len(body)))


def client_hello(sni="h3.test", dcid=None, ca_file=None, alpn=("h3",)):
    """The datagrams of a genuine first flight, and the connection that made them."""
    quic = Quic(QuicSettings(alpn=alpn, ca_file=ca_file, versions=[V1], dcid=dcid), sni)
    now = time.monotonic()
    quic.connect(("127.0.0.1", 1), now)
    return [data for data, _ in quic.datagrams_to_send(now)], quic


def crypto_frame(data, offset=0):
    return b"\x06" + encode_uint_var(offset) + encode_uint_var(len(data)) + data


def client_hello_bytes(sni="h3.test", dcid=None):
    """(the bare ClientHello, the connection ID it names as our source)"""
    sent, quic = client_hello(sni, dcid)
    crypto = CryptoPair()
    crypto.setup_initial(quic.original_destination_connection_id, is_client=False, version=V1)
    hello = {}
    for datagram in sent:
        for payload in _initial_payloads(datagram, crypto):
            hello.update(_crypto_frames(payload))
    return b"".join(hello[k] for k in sorted(hello)), quic.host_cid


def _initial_payloads(datagram, crypto):
    buf = Buffer(data=datagram)
    # The zeros after the last packet pad the datagram.
    while not buf.eof() and datagram[buf.tell()] & 0x80:
        start = buf.tell()
        header = pull_quic_header(buf, host_cid_length=8)
        if header.packet_type != QuicPacketType.INITIAL:
            return
        yield crypto.decrypt_packet(datagram[start:start + header.packet_length],
                                    buf.tell() - start, 0)[1]
        buf.seek(start + header.packet_length)


def _crypto_frames(payload):
    buf, found = Buffer(data=payload), {}
    while not buf.eof():
        kind = buf.pull_uint_var()
        if kind == 6:
            offset, length = buf.pull_uint_var(), buf.pull_uint_var()
            found[offset] = buf.pull_bytes(length)
        elif kind not in (0, 1):
            raise AssertionError("frame %d in a first Initial" % kind)
    return found


def initial(dcid, scid, payload, *, pn=0, token=b"", size=1200, version=V1, key_dcid=None,
            length_field=None):
    """An Initial protected with the keys of RFC 9001 section 5.2, padded to `size` bytes (0: not).
    `key_dcid` derives the keys from another connection ID than the one that is shown."""
    crypto = CryptoPair()
    crypto.setup_initial(dcid if key_dcid is None else key_dcid, is_client=True, version=V1)
    head = long_header(version, dcid, scid, 0xc1, encode_uint_var(len(token)) + token)
    rest = size - len(head) - 2 - 2 - 16
    payload = payload + bytes(max(0, rest - len(payload), 20 - len(payload)))
    length = 2 + len(payload) + 16 if length_field is None else length_field
    head += (0x4000 | length).to_bytes(2, "big") + (pn & 0xffff).to_bytes(2, "big")
    return crypto.encrypt_packet(head, payload, pn)


def frame_types(datagram, dcid):
    """The types of the frames in the server's first Initial, up to the first unexpected one."""
    crypto = CryptoPair()
    crypto.setup_initial(dcid, is_client=True, version=V1)
    found = set()
    buf = Buffer(data=next(_initial_payloads(datagram, crypto)))
    while not buf.eof():
        kind = buf.pull_uint_var()
        found.add(kind)
        if kind == 6:
            buf.pull_uint_var()
            buf.pull_bytes(buf.pull_uint_var())
        elif kind in (2, 3):
            pull_ack_frame(buf)
        elif kind not in (0, 1):
            break
    return found


def close_code(datagram, dcid):
    """The code of the CONNECTION_CLOSE that an Initial of the server begins with, else None."""
    crypto = CryptoPair()
    crypto.setup_initial(dcid, is_client=True, version=V1)
    for payload in _initial_payloads(datagram, crypto):
        buf = Buffer(data=payload)
        if buf.pull_uint_var() == 0x1c:
            return buf.pull_uint_var()
    return None


def parse_long(datagram):
    """(first byte, version, dcid, scid, the rest) of a long-header packet."""
    version = int.from_bytes(datagram[1:5], "big")
    dcid_len = datagram[5]
    dcid = datagram[6:6 + dcid_len]
    at = 6 + dcid_len
    scid = datagram[at + 1:at + 1 + datagram[at]]
    return datagram[0], version, dcid, scid, datagram[at + 1 + datagram[at]:]
