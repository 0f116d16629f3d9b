# SPDX-License-Identifier: Apache-2.0
"""What clients may hold of a child's memory: much where the path asks for it, and within bounds."""
import hashlib
import time

from h3test.transport import pump_all
from h3test.wait import bound, until

MIB = 1 << 20
RTT = 0.1
# A client that takes a little of a response, and then no more.
SLOW = {"max_data": 20000, "max_stream_data": 20000}


def far_turns(conn, done, timeout):
    """A client that looks at what has come only every RTT, as if it were so far away."""
    deadline = time.monotonic() + bound(timeout)
    while not done():
        assert time.monotonic() < deadline and conn.ended is None
        time.sleep(RTT)
        conn.turn(0)


def test_a_window_of_few_bytes_stays_so(fresh_httpd):
    httpd = fresh_httpd()
    httpd.add("H3WindowSize 100000\nH3ConnWindowSize 150000").vhost("h3.test").start()
    body = bytes(2 * MIB)
    with httpd.h3() as conn:
        stream = conn.open("POST", "/cgi-bin/sha256.cgi", end_stream=False)
        stream.send(body, end=True)
        windows = []

        def done():
            if not stream.done:
                windows.append(conn.quic.window(stream.id))
            return stream.done

        far_turns(conn, done, 60)
        assert stream.finish().body.split()[0].decode() == hashlib.sha256(body).hexdigest()
    # What has been read and is not acknowledged yet counts twice.
    assert max(windows) <= 200000


def test_slow_readers_share_what_there_is(fresh_httpd):
    """More of them than there is memory for; others are served all the while."""
    httpd = fresh_httpd()
    httpd.add("H3MaxMemSize 1048576\nH3MinWorkers 60\nH3MaxWorkers 60").vhost("h3.test").start()
    conns = [httpd.h3(**SLOW) for _ in range(40)]
    try:
        streams = []
        for conn in conns:
            conn.quic.hold_credit = True
            streams.append(conn.open("GET", "/cgi-bin/endless.cgi"))
        pump_all(conns, lambda: all(s.received for s in streams))
        until(lambda: httpd.gauge("Memory") > MIB // 4, 20, "much is held")
        for _ in range(20):
            pump_all(conns, lambda: True)
            assert httpd.gauge("Memory") <= MIB // 2
            answer = httpd.fetch("3", "/cgi-bin/env.cgi")
            assert answer.status == 200 and "HTTP3=on" in answer.text
            assert httpd.fetch("3", "/index.html").status == 200
    finally:
        for conn in conns:
            conn.close()
    until(lambda: httpd.gauge("Memory") == 0, 20, "all is given back")
