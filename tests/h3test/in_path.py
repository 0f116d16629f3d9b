# SPDX-License-Identifier: Apache-2.0
"""What test_40_paths.py runs in the client's namespace of an emulated path (tests/bench/path.c):

    path OPTIONS -- python in_path.py WHAT FILE     WHAT is a function of this file
"""
import json
import os
import socket
import subprocess
import sys
import time

MANY = 4000
SO_RCVBUFFORCE = 33
# The server's end, which sends everything back.
ECHO = """
import socket, sys
v6 = sys.argv[1] == "6"
s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 33, 4 << 20)  # SO_RCVBUFFORCE
s.bind(("2001:2::1" if v6 else "198.18.0.1", 4000))
print("ready", flush=True)
while True:
    data, peer = s.recvfrom(65536)
    s.sendto(data, peer)
"""


class Echo:
    """The echo at the other end, and a socket towards it."""

    def __init__(self, family="4"):
        self._server = subprocess.Popen(
            ["nsenter", "--net=" + os.environ["PATH_SERVER_NET"], sys.executable, "-c", ECHO,
             family], stdout=subprocess.PIPE)
        self._server.stdout.readline()
        v6 = family == "6"
        self.socket = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)
        self.socket.connect(("2001:2::1" if v6 else "198.18.0.1", 4000))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        self._server.kill()
        self._server.wait()

    def answers(self, silence=1):
        """All that come until there is silence, each with the time."""
        self.socket.settimeout(silence)
        try:
            while True:
                yield self.socket.recv(65536), time.monotonic()
        except TimeoutError:
            pass


def round_trips():
    """Milliseconds, by address family."""
    times = {}
    for family in "46":
        with Echo(family) as echo:
            times[family] = []
            for _ in range(20):
                begun = time.monotonic()
                echo.socket.send(b"x")
                echo.socket.recv(9)
                times[family].append((time.monotonic() - begun) * 1e3)
    return times


def many():
    """Numbered datagrams, a few at once: the numbers of those that came back, in their order."""
    with Echo() as echo:
        for i in range(MANY):
            echo.socket.send(i.to_bytes(4, "big"))
            if i % 50 == 49:
                time.sleep(0.005)
        return [int.from_bytes(data, "big") for data, _ in echo.answers()]


def flood():
    """10 Mbit of fragments of 1500 and 520 bytes, at once: after how long each pair came back."""
    with Echo() as echo:
        begun = time.monotonic()
        for _ in range(625):
            echo.socket.send(bytes(1972))
        return [at - begun for _, at in echo.answers()]


def lengths():
    """Before and after the path has changed: how long the datagrams were that came back."""
    with Echo() as echo:
        echo.socket.send(bytes(1400))
        before = [len(data) for data, _ in echo.answers(0.2)]
        time.sleep(2.2)
        for size in 1400, 1000:
            echo.socket.send(bytes(size))
        return before, [len(data) for data, _ in echo.answers()]


if __name__ == "__main__":
    with open(sys.argv[2], "w") as file:
        json.dump(globals()[sys.argv[1]](), file)
