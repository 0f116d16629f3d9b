# SPDX-License-Identifier: Apache-2.0
"""Graceful restarts, stops, and the end of single children: what runs ends whole, nothing hangs."""
import os
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from h3test import content, procs
from h3test.h3conn import H3_NO_ERROR, H3_REQUEST_REJECTED
from h3test.load import Load, load
from h3test.response import ConnectionEnded, StreamEnded
from h3test.transport import pump_all
from h3test.wait import SLOWNESS, bound, until

MPMS = ["event", "worker"]
# Room for children that still drain beside those that serve.
ROOM = """StartServers 1
ServerLimit 16
ThreadLimit 16
ThreadsPerChild 16
MinSpareThreads 1
MaxSpareThreads 64
MaxRequestWorkers 64
"""


def made(make, mpm, text="", **options):
    httpd = make(mpm=mpm, mpm_text=ROOM, **options)
    httpd.add(text)
    httpd.vhost("h3.test", """AddType text/html .shtml
    AddOutputFilter INCLUDES .shtml""")
    httpd.begun = httpd.path("begun")
    os.mkdir(httpd.begun)
    os.chmod(httpd.begun, 0o777)
    for name in ("wait.cgi", "sha256.cgi"):
        content.write(httpd.path("cgi-bin", "begun-" + name),
                      '#!/bin/sh\n: > %s/$$\nexec %s\n' % (
                          httpd.begun, httpd.path("cgi-bin", name)), 0o755)
    return httpd


def wait_begun(httpd, conn, number):
    """Until so many CGIs run: what mod_cgid's daemon has not begun when it is restarted, fails."""
    conn.wait(lambda: len(os.listdir(httpd.begun)) == number, 10)


@pytest.fixture(params=MPMS)
def httpd(request, fresh_httpd):
    return made(fresh_httpd, request.param).start()


def waited(stream):
    answer = stream.finish()
    assert (answer.status, answer.body) == (200, b"waited\n"), answer.text


# -- over many restarts

# No CGI: mod_cgid's daemon is not there for a moment at each restart, over every protocol.
PAGES = ["/index.html", "/large.bin", "/small.txt", "/text.txt", "/dir/", "/ssi/plain.shtml"]


def restarts_under_load(httpd, restarts, apart, download):
    """Eight clients load pages, one downloads for as long as all the restarts take."""
    content.sparse(httpd.path("htdocs", "long.bin"), download)
    httpd.start()
    seconds = restarts * apart + apart / 2
    rate = int(download / (seconds + apart))
    with Load(httpd, "--rate-limit", rate, "--sha256", paths=["/long.bin"],
              seconds=3 * seconds + 30) as long:
        until(lambda: httpd.gauge("Streams") == 1, 10, "the download has begun")
        began = time.monotonic()
        with Load(httpd, "-c", 8, "-m", 2, "-t", seconds, "--retry-goaway", "--rate-limit", "3m",
                  paths=PAGES, seconds=seconds + 40) as pages:
            for turn in range(restarts):
                until(lambda: time.monotonic() >= began + turn * apart, apart + 1, "the next turn")
                assert long.running and pages.running, long.said + pages.said
                httpd.graceful()
            assert long.running, "the download ended before the last restart"
            report = pages.finish()
        whole = long.finish()
    return report, whole


def check_nothing_failed(report, whole, restarts, size):
    assert report["failed"] == report["unsent"] == report["cut"] == 0, report
    assert report["ok"] == report["requests"] >= 100
    # Repeats are what GOAWAY turned away; a connection is left for another one at each restart.
    assert report["connections"]["goaway"] >= restarts - 1, report["connections"]
    assert set(report["resets"]) <= {hex(H3_REQUEST_REJECTED)}, report["resets"]
    assert report["connections"]["lost"] == report["connections"]["failed"] == 0
    assert report["connections"]["stateless_resets"] == 0
    assert not report["connections"]["transport_closes"], report["connections"]
    assert set(report["connections"]["app_closes"]) <= {hex(H3_NO_ERROR)}
    assert whole["ok"] == 1 and whole["body_bytes"] == size and whole["repeated"] == 0


@pytest.mark.slow
@pytest.mark.timeout(int(180 * SLOWNESS))
def test_ten_graceful_restarts_under_load(fresh_httpd):
    size = 200 << 20
    httpd = made(fresh_httpd, "event", "H3GracefulTimeout 60")
    report, whole = restarts_under_load(httpd, 10, 2, size)
    check_nothing_failed(report, whole, 10, size)
    until(lambda: len(httpd.children()) == 1, 30, "the old children have ended")


@pytest.mark.slow
@pytest.mark.timeout(int(120 * SLOWNESS))
def test_graceful_restarts_under_load_worker(fresh_httpd):
    size = 30 << 20
    httpd = made(fresh_httpd, "worker")
    report, whole = restarts_under_load(httpd, 3, 2, size)
    check_nothing_failed(report, whole, 3, size)
    until(lambda: len(httpd.children()) == 1, 30, "the old children have ended")


# -- one restart, seen from a connection

@pytest.mark.sanitize
def test_graceful_restart_of_an_idle_connection(httpd):
    """GOAWAY, then a close without an error: at once, not after an idle timeout."""
    with httpd.h3() as conn:
        assert conn.request("GET", "/small.txt").body == content.SMALL
        httpd.graceful()
        end = conn.wait_end(10)
        assert (end.code, end.transport) == (H3_NO_ERROR, False)
        assert conn.goaways and conn.goaways[-1] == 4, conn.goaways
    assert httpd.fetch("3", "/small.txt").body == content.SMALL


# A probe timeout of five seconds: what the server grants by it outlasts a slow run.
UNHURRIED = {"max_ack_delay": 5000}


def asks_late(httpd, conn):
    """The first request of a connection, when its child drains: all is as if it did not."""
    conn.pump(0.2)
    assert conn.goaways == []
    assert conn.request("GET", "/small.txt").body == content.SMALL
    conn.wait(lambda: conn.goaways)


@pytest.mark.sanitize
def test_a_connection_that_has_not_asked_yet(httpd):
    """GOAWAY right after the handshake would make a failure of the request that follows."""
    with httpd.h3(parameters=UNHURRIED) as conn:
        before = len(httpd.log())
        with httpd.restarting():
            httpd.wait_log("child stops: 1 connections", 15, before)
            asks_late(httpd, conn)


def test_a_connection_that_has_not_asked_yet_at_a_graceful_stop(httpd):
    with httpd.h3(parameters=UNHURRIED) as conn:
        httpd.graceful_stop()
        httpd.wait_log("child stops: 1 connections", 15)
        asks_late(httpd, conn)


@pytest.mark.sanitize
def test_a_handshake_that_is_under_way(httpd):
    with httpd.h3(parameters=UNHURRIED, connect=False) as conn:
        conn.transport.on_receive = lambda data: None
        conn.begin()
        until(lambda: conn.turn() or httpd.gauge("HalfOpen") == 1, 10, "the handshake has begun")
        before = len(httpd.log())
        with httpd.restarting():
            httpd.wait_log("child stops: 1 connections", 15, before)
            conn.transport.on_receive = None
            conn.wait(lambda: conn.handshake is not None)
            conn.start_h3()
            asks_late(httpd, conn)


@pytest.mark.sanitize
def test_a_connection_that_never_asks(httpd):
    """It is waited for a moment, no longer."""
    with httpd.h3() as conn:
        httpd.graceful()
        end = conn.wait_end(15)
        assert (end.code, end.transport) == (H3_NO_ERROR, False)
        assert conn.goaways[-1] == 0, conn.goaways


def asks_once(httpd):
    """A connection for one request, as a command line's client has it; how that ended."""
    try:
        with httpd.h3() as conn:
            conn.turn(0.01)
            if conn.goaway is not None:
                return "GOAWAY before the request"
            return conn.request("GET", "/small.txt").status
    except (ConnectionEnded, StreamEnded, TimeoutError) as exc:
        return repr(exc)


def test_new_connections_during_restarts(httpd):
    """Not one of them fails, whenever its handshake has been."""
    over = threading.Event()

    def ask():
        return Counter(asks_once(httpd) for _ in iter(over.is_set, True))

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask) for _ in range(4)]
        try:
            for _ in range(8):
                with httpd.restarting():
                    time.sleep(0.2)
        finally:
            over.set()
        answers = sum((a.result() for a in asked), Counter())
    assert set(answers) == {200}, answers


@pytest.mark.sanitize
def test_a_close_that_is_lost(fresh_httpd):
    """The old child is there to repeat it: the client meets no stateless reset."""
    httpd = made(fresh_httpd, "event", log_level="info http3:debug").start()
    # A probe timeout of more than a second: the closing period is three of them.
    with httpd.h3(parameters={"max_ack_delay": 1000}) as conn:
        assert conn.request("GET", "/small.txt").body == content.SMALL
        # Acknowledged: a stream that is not would keep the connection.
        conn.wait(lambda: httpd.gauge("Streams") == 0)
        with httpd.restarting():
            httpd.wait_log(r"conn \S+ \S+: closing after", 15)
            conn.transport.discard()
            conn.quic.send_ping(1)
            end = conn.wait_end(10)
        assert (end.code, end.transport) == (H3_NO_ERROR, False)


@pytest.mark.sanitize
def test_graceful_restart_of_a_busy_connection(httpd):
    """What runs ends whole, the rest is rejected so that the client may repeat it elsewhere."""
    old = httpd.child()
    with httpd.h3() as conn:
        slow = conn.open("GET", "/cgi-bin/begun-wait.cgi?2")
        large = conn.open("GET", "/large.bin")
        body = conn.open("POST", "/cgi-bin/begun-sha256.cgi", end_stream=False)
        body.send(b"first half, ")
        wait_begun(httpd, conn, 2)
        httpd.graceful()
        last = body.id
        conn.wait(lambda: conn.goaway is not None and conn.goaway <= last + 4)
        assert conn.goaway == last + 4, conn.goaways
        assert conn.goaways == sorted(conn.goaways, reverse=True)
        late = conn.open("GET", "/small.txt")
        with pytest.raises(StreamEnded) as caught:
            late.finish()
        assert caught.value.code == H3_REQUEST_REJECTED
        body.send(b"second half", end=True)
        assert body.finish().status == 200
        assert large.finish().body == content.LARGE
        waited(slow)
        assert conn.wait_end(10).code == H3_NO_ERROR
    until(lambda: not procs.is_alive(old), 15, "the old child has ended")


def test_new_connections_go_to_the_new_generation(httpd):
    with httpd.h3() as old:
        busy = old.open("GET", "/cgi-bin/begun-wait.cgi?3")
        wait_begun(httpd, old, 1)
        first = httpd.child()
        httpd.add("<Location /small.txt>\n    Header set X-Generation new\n</Location>")
        httpd.graceful()
        until(lambda: set(httpd.children()) - {first}, 10, "a new child")
        for _ in range(10):
            assert httpd.fetch("3", "/small.txt").get("x-generation") == "new"
        waited(busy)


def test_no_initial_is_lost_in_the_gap(httpd):
    """Who comes between two generations waits a moment, and is served."""
    with Load(httpd, "--handshakes-only", "-n", 600, "-c", 4, "--connecting", 2) as client:
        for _ in range(3):
            httpd.graceful()
        report = client.finish()
    assert report["connections"]["confirmed"] == 600
    assert report["connections"]["failed"] == report["connections"]["lost"] == 0
    assert report["connect_ms"]["max"] < bound(5) * 1000, report["connect_ms"]


def test_requests_that_outlive_the_timeout_are_cut(fresh_httpd):
    """H3GracefulTimeout bounds the drain; the client sees an error, never an end."""
    httpd = made(fresh_httpd, "event", "H3GracefulTimeout 2").start()
    old = httpd.child()
    with httpd.h3() as conn:
        endless = conn.open("GET", "/cgi-bin/endless.cgi")
        endless.keep_body = False
        conn.wait(lambda: endless.received > 100000)
        began = time.monotonic()
        httpd.graceful()
        with pytest.raises((ConnectionEnded, StreamEnded)):
            endless.finish(15)
        assert 1.5 < time.monotonic() - began < bound(8)
        assert not endless.ended
    until(lambda: not procs.is_alive(old), 10, "the old child has ended")
    assert httpd.fetch("3", "/small.txt").body == content.SMALL


# -- stops

@pytest.fixture
def own_stop(fresh_httpd, httpd):
    """Seconds that this httpd takes to stop without the modules under test.

    Worker before httpd 2.4.62 cannot wake its listener: 5 s, and "still did not exit"."""
    plain = fresh_httpd(mpm=httpd.mpm, http3=False, protocols="http/1.1", site=False)
    plain.vhost("h3.test").start()
    began = time.monotonic()
    os.kill(plain.parent, signal.SIGTERM)
    plain.wait_stopped(20)
    return time.monotonic() - began


def check_killed_nobody(httpd, own):
    """httpd had to hurry no child, unless it does that by itself."""
    if own < bound(3):
        assert "still did not exit" not in httpd.log()


@pytest.mark.sanitize
def test_graceful_stop(httpd):
    """Runs what it has begun, takes nothing new, and ends."""
    with httpd.h3() as conn, httpd.h3() as idle:
        slow = conn.open("GET", "/cgi-bin/begun-wait.cgi?2")
        large = conn.open("GET", "/large.bin")
        wait_begun(httpd, conn, 1)
        httpd.graceful_stop()
        assert idle.wait_end(10).code == H3_NO_ERROR
        assert large.finish().body == content.LARGE
        waited(slow)
        assert conn.wait_end(10).code == H3_NO_ERROR
    httpd.wait_stopped(10)
    assert "still did not exit" not in httpd.log()


def test_graceful_stop_with_an_endless_request(fresh_httpd):
    httpd = made(fresh_httpd, "event", "H3GracefulTimeout 2").start()
    with httpd.h3() as conn:
        endless = conn.open("GET", "/cgi-bin/endless.cgi")
        endless.keep_body = False
        conn.wait(lambda: endless.received > 100000)
        httpd.graceful_stop()
        with pytest.raises((ConnectionEnded, StreamEnded)):
            endless.finish(15)
    httpd.wait_stopped(10)


def in_flight(httpd):
    """A connection with requests of every kind under way; responses stop at 64 KiB."""
    conn = httpd.h3(max_stream_data=65536)
    conn.quic.hold_credit = True
    streams = [conn.open("GET", path) for path in (
        "/cgi-bin/wait.cgi?30", "/cgi-bin/endless.cgi", "/long.bin", "/cgi-bin/wait.cgi?31")]
    streams.append(conn.open("POST", "/cgi-bin/slowread.cgi?30", end_stream=False))
    streams[-1].send(b"x" * 100000)
    for stream in streams:
        stream.keep_body = False
    conn.wait(lambda: streams[1].received and streams[2].received)
    return conn


@pytest.mark.sanitize
def test_stop_with_requests_in_flight(httpd, own_stop):
    """SIGTERM: the clients are told, and nobody has to kill a child."""
    content.sparse(httpd.path("htdocs", "long.bin"), 1 << 30)
    conns = [in_flight(httpd) for _ in range(3)]
    children = httpd.children()
    began = time.monotonic()
    os.kill(httpd.parent, signal.SIGTERM)
    pump_all(conns, lambda: all(conn.ended for conn in conns), 5)
    httpd.wait_stopped(5 + own_stop)
    assert time.monotonic() - began < bound(5) + own_stop
    assert not any(procs.is_alive(child) for child in children)
    check_killed_nobody(httpd, own_stop)
    for conn in conns:
        assert conn.ended.error_code == H3_NO_ERROR and conn.ended.frame_type is None
        assert not any(stream.ended for stream in conn.streams.values())
        conn.abandon()


def test_stop_in_the_middle_of_a_drain(httpd, own_stop):
    """SIGTERM ends a graceful stop that still waits; httpd passes it on to a child within 3.4 s."""
    content.sparse(httpd.path("htdocs", "long.bin"), 1 << 30)
    conn, parent = in_flight(httpd), httpd.parent
    httpd.graceful_stop()
    conn.wait(lambda: conn.goaway is not None)
    # httpd forgets a SIGTERM that comes before it waits for its children: it clears the flag.
    httpd.wait_log("shutting down gracefully")
    until(lambda: procs.status(parent)["State"].startswith("\tS"), 10, "the parent waits")
    began = time.monotonic()
    os.kill(parent, signal.SIGTERM)
    assert conn.wait_end(5 + own_stop).code == H3_NO_ERROR
    httpd.wait_stopped(5 + own_stop)
    assert time.monotonic() - began < bound(5) + own_stop
    conn.abandon()


def test_ungraceful_restart_with_requests_in_flight(httpd, own_stop):
    content.sparse(httpd.path("htdocs", "long.bin"), 1 << 30)
    conn, old = in_flight(httpd), httpd.child()
    os.kill(httpd.parent, signal.SIGHUP)
    assert conn.wait_end(5).code == H3_NO_ERROR
    conn.abandon()
    until(lambda: not procs.is_alive(old), 5 + own_stop, "the old child has ended")
    assert httpd.fetch("3", "/small.txt").body == content.SMALL
    check_killed_nobody(httpd, own_stop)


# -- the end of single children

@pytest.mark.parametrize("mpm", MPMS)
def test_max_connections_per_child(fresh_httpd, mpm):
    """A child whose time has come drains as at a graceful restart."""
    httpd = made(fresh_httpd, mpm, "MaxConnectionsPerChild 6").start()
    old = httpd.child()
    with httpd.h3() as conn, httpd.h3() as idle:
        assert idle.request("GET", "/small.txt").body == content.SMALL
        slow = conn.open("GET", "/cgi-bin/wait.cgi?2")
        large = conn.open("GET", "/large.bin")
        conn.ping()
        for _ in range(12):
            if set(httpd.children()) != {old}:
                break
            assert httpd.fetch("1.1", "/small.txt").body == content.SMALL
        until(lambda: set(httpd.children()) - {old}, 10, "another child")
        assert idle.wait_end(10).code == H3_NO_ERROR
        assert large.finish().body == content.LARGE
        waited(slow)
    until(lambda: not procs.is_alive(old), 15, "the old child has ended")
    assert load(httpd, "-c", 5, "-n", 20, "--retry-goaway")["ok"] == 20
    assert "exit signal" not in httpd.log()


@pytest.mark.parametrize("mpm", MPMS)
def test_spare_children_end_with_their_connections_whole(fresh_httpd, mpm):
    """The MPM ends a child that it thinks idle: it does not see QUIC. Nothing is lost by it."""
    httpd = fresh_httpd(mpm=mpm, mpm_text="StartServers 8\nServerLimit 8\nThreadLimit 16\n"
                        "ThreadsPerChild 16\nMinSpareThreads 16\nMaxSpareThreads 32\n"
                        "MaxRequestWorkers 128\n")
    httpd.vhost("h3.test")
    httpd.start()
    # One child is ended each second from the start until MaxSpareThreads is met: so many that a
    # load that begins late meets some of them.
    report = load(httpd, "-c", 16, "-m", 2, "-t", bound(7), "--retry-goaway",
                  paths=["/cgi-bin/wait.cgi?0.2", "/large.bin"], seconds=40)
    assert report["failed"] == 0 and report["ok"] == report["requests"] > 20
    assert report["connections"]["lost"] == report["connections"]["stateless_resets"] == 0
    until(lambda: len(httpd.children()) <= 2, 20, "the spare children have ended")
    assert report["connections"]["goaway"] > 0, "no child ended while it was loaded"
    assert httpd.fetch("3", "/small.txt").body == content.SMALL
    assert httpd.gauge("ForeignDatagrams") == 0


def test_pid_file_and_sockets_after_the_stop(fresh_httpd):
    """Whoever comes next finds the port free at once."""
    httpd = made(fresh_httpd, "event").start()
    with httpd.h3() as conn:
        conn.open("GET", "/cgi-bin/wait.cgi?30")
        conn.ping()
        httpd.stop()
        assert not os.path.exists(httpd.pid_file)
        httpd.start()
        assert httpd.fetch("3", "/small.txt").body == content.SMALL
