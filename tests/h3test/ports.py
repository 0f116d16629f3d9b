# SPDX-License-Identifier: Apache-2.0
"""Port numbers that are free for TCP and UDP alike."""
import os
import random
import socket

_given = set()


def _range():
    low, high = os.environ.get("H3TEST_PORTS", "20000-29999").split("-")
    return int(low), int(high)


def _is_free(port):
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(family, kind) as sock:
                if family == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                if kind == socket.SOCK_STREAM:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    sock.bind((address, port))
                except OSError:
                    return False
    return True


def free_port():
    low, high = _range()
    for _ in range(2000):
        port = random.randint(low, high)
        if port not in _given and _is_free(port):
            _given.add(port)
            return port
    raise AssertionError("no free port pair in %d-%d" % (low, high))
