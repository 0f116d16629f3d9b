# SPDX-License-Identifier: Apache-2.0
"""UDP sockets that cannot be had, or not yet: TCP starts all the same, and HTTP/3 follows."""
import contextlib
import re
import resource
import socket
import time

import pytest

from h3test import content, procs
from h3test.load import Load
from h3test.response import ConnectionEnded
from h3test.wait import SLOWNESS, until

# httpd asks its modules every ten seconds or so to look after things.
LOOK = 15
BUSY = r"http3:crit.*could not open UDP address \S*:%d "
FREE = r"http3:notice.*HTTP/3 on UDP \S*:%d: the address has become free"


@contextlib.contextmanager
def taken(port, address="127.0.0.1"):
    """A UDP port in somebody else's hands."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET,
                       socket.SOCK_DGRAM) as sock:
        sock.bind((address, port))
        yield sock


def says_once(httpd, pattern):
    found = re.findall(pattern, httpd.log())
    assert len(found) == 1, httpd.log()


def has_no_http3(httpd):
    """TCP is whole, nothing is announced."""
    for version in ("1.1", "2"):
        answer = httpd.fetch(version, "/small.txt")
        assert (answer.status, answer.body) == (200, content.SMALL)
        assert answer.get("alt-svc") is None


def has_http3(httpd, port=None):
    assert httpd.fetch("3", "/small.txt", port=port).body == content.SMALL
    until(lambda: httpd.fetch("1.1", "/small.txt").get("alt-svc"), 5, "HTTP/3 is announced")


def twin(make, httpd):
    """Another server with the same ports."""
    other = make(mpm=httpd.mpm, altsvc=True)
    other.conf.port, other.conf.clear_port = httpd.port, httpd.clear_port
    other.add("AltSvc auto").vhost("h3.test")
    return other


@pytest.mark.parametrize("mpm", ["event", "worker"])
@pytest.mark.timeout(int(90 * SLOWNESS))
def test_start_while_the_one_before_ends_its_downloads(fresh_httpd, mpm):
    """`apachectl graceful-stop`, and `start` a second later."""
    size = 3 << 20
    old = fresh_httpd(mpm=mpm, altsvc=True)
    old.add("AltSvc auto").vhost("h3.test")
    content.sparse(old.path("htdocs", "long.bin"), size)
    old.start()
    with Load(old, "--rate-limit", size // 3, paths=["/long.bin"], seconds=60) as download:
        until(lambda: old.gauge("Streams") == 1, 10, "the download has begun")
        old.graceful_stop()
        old.wait_log("shutting down gracefully")
        new = twin(fresh_httpd, old).start()
        has_no_http3(new)
        assert download.running, "the download has ended before the start"
        says_once(new, BUSY % new.port)
        whole = download.finish()
    assert whole["ok"] == 1 and whole["body_bytes"] == size
    old.wait_stopped(30)
    new.wait_log(FREE % new.port, LOOK)
    has_http3(new)
    says_once(new, BUSY % new.port)


@pytest.mark.sanitize
def test_a_port_that_is_taken_for_a_while(fresh_httpd):
    """The children that run when it becomes free serve it, and a restart finds it in place."""
    httpd = fresh_httpd(altsvc=True, mpm_text="StartServers 2\nServerLimit 4\nThreadsPerChild 4\n"
                        "MinSpareThreads 1\nMaxSpareThreads 16\nMaxRequestWorkers 16\n")
    httpd.add("AltSvc auto").vhost("h3.test")
    with taken(httpd.port):
        httpd.start()
        has_no_http3(httpd)
        assert httpd.udp_bound() == 0
        assert "HTTP/3 on no UDP socket, not yet on UDP [::]:%d" % httpd.port in httpd.log()
        children = sorted(httpd.children())
    httpd.wait_log(FREE % httpd.port, LOOK)
    assert httpd.udp_bound() == 4
    until(lambda: httpd.gauge("Children") == 2, 10, "both children accept")
    # New connections go to both, so the program knows of both.
    until(lambda: [has_http3(httpd) for _ in range(4)]
          and all(re.search(r"\[pid %d:.*conn \S+ \S+: " % child, httpd.log())
                  for child in children), 20, "each child has had a connection")
    assert httpd.gauge("ForeignDatagrams") == 0
    assert sorted(httpd.children()) == children
    before = procs.udp_sockets(httpd.parent)
    httpd.graceful()
    has_http3(httpd)
    assert procs.udp_sockets(httpd.parent) == before


def test_one_of_two_addresses(fresh_httpd):
    """The other one serves meanwhile; a graceful restart looks at once."""
    httpd = fresh_httpd(altsvc=True)
    late = httpd.new_port()
    httpd.add("AltSvc auto\nH3Listen 127.0.0.1:%d %d\nH3Listen 127.0.0.1:%d" % (
        late, httpd.port, httpd.port))
    httpd.vhost("h3.test")
    with taken(late):
        httpd.start()
        has_http3(httpd)
        assert 'h3=":%d"' % httpd.port in httpd.fetch("1.1", "/small.txt").get("alt-svc")
        says_once(httpd, BUSY % late)
        httpd.graceful()
        has_http3(httpd)
        assert len(re.findall(BUSY % late, httpd.log())) == 2
    httpd.graceful()
    has_http3(httpd, late)
    has_http3(httpd)


@pytest.mark.sanitize
def test_alone(fresh_httpd):
    """httpd -X has no parent: its one process looks every second."""
    httpd = fresh_httpd()
    httpd.vhost("h3.test")
    with taken(httpd.port):
        httpd.process.spawn("-X")
        until(lambda: tcp_answers(httpd), 30, "TCP answers")
        assert re.search(BUSY % httpd.port, httpd.log())
    httpd.wait_log(FREE % httpd.port, 5)
    assert httpd.fetch("3", "/small.txt").body == content.SMALL


def tcp_answers(httpd):
    try:
        return httpd.fetch("1.1", "/small.txt").status == 200
    except (OSError, ConnectionEnded):
        return False


def test_too_few_descriptors(fresh_httpd):
    """ServerLimit sockets for each of two addresses: one fits, and TCP has what it needs."""
    httpd = fresh_httpd(mpm_text="StartServers 1\nServerLimit 24\nThreadsPerChild 4\n"
                        "MinSpareThreads 1\nMaxSpareThreads 96\nMaxRequestWorkers 96\n")
    second = httpd.new_port()
    httpd.add("H3Listen 127.0.0.1:%d\nH3Listen 127.0.0.1:%d %d" % (
        httpd.port, second, httpd.port))
    httpd.vhost("h3.test")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    try:
        httpd.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert re.search(r"http3:crit.*Too many open files.*127\.0\.0\.1:%d \(socket\); the server "
                     "goes on without" % second, httpd.log())
    assert httpd.udp_bound() == 24 and httpd.udp_bound(second) == 0
    assert httpd.fetch("3", "/small.txt").body == content.SMALL
    for version in ("1.1", "2"):
        conns = [httpd.client(version) for _ in range(4)]
        for conn in conns:
            assert conn.request("GET", "/small.txt").body == content.SMALL
        for conn in conns:
            conn.close()


def test_an_address_that_is_not_here(fresh_httpd):
    """As that of an interface that comes up later."""
    httpd = fresh_httpd(altsvc=True)
    httpd.add("AltSvc auto\nH3Listen 192.0.2.77:%d" % httpd.port)
    httpd.vhost("h3.test").start()
    has_no_http3(httpd)
    assert re.search(r"http3:crit.*annot assign requested address.*192\.0\.2\.77:%d \(bind\); "
                     "HTTP/3 begins there as soon as it can" % httpd.port, httpd.log())


def test_a_wildcard_becomes_one_address(fresh_httpd):
    """Old children still have the wildcard when the new address is to be bound."""
    httpd = fresh_httpd()
    include = httpd.path("conf", "listen")
    content.write(include, "H3Listen %d\n" % httpd.port)
    httpd.add("Include %s" % include).vhost("h3.test").start()
    with httpd.h3() as conn:
        slow = conn.open("GET", "/cgi-bin/wait.cgi?2")
        conn.wait(lambda: httpd.gauge("Requests") == 1)
        time.sleep(0.2)         # what mod_cgid's daemon has not begun is lost at a restart
        content.write(include, "H3Listen 127.0.0.1:%d\n" % httpd.port)
        httpd.graceful()
        assert re.search(BUSY % httpd.port, httpd.log())
        assert slow.finish().body == b"waited\n"
    httpd.wait_log(FREE % httpd.port, LOOK)
    assert httpd.fetch("3", "/small.txt").body == content.SMALL


def test_a_mistake_stays_one(fresh_httpd):
    """What no waiting cures is an error of configtest."""
    httpd = fresh_httpd(site=False)
    httpd.add("H3Listen [fe80::1%%nowhere]:%d" % httpd.port)
    httpd.vhost("h3.test")
    code, output = httpd.configtest()
    assert code == 1 and "AH20104" in output, output


# -- the module goes

def modules_in(httpd, *names):
    """Rewrites the LoadModule lines for the next restart."""
    httpd.conf.own = [name for name in ("http3", "altsvc") if name in names]


def nobody_has(httpd):
    """No process of the server has a UDP socket of the port, and the kernel says so to clients."""
    def held():
        pids = {httpd.parent, *procs.children(httpd.parent)}
        return [p for p in pids if httpd.port in procs.udp_sockets(p).values()]
    def refused():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.2)
            sock.connect(("127.0.0.1", httpd.port))
            sock.send(b"?")
            try:
                sock.recv(1)
            except ConnectionRefusedError:
                return True
            except TimeoutError:        # one that is about to end has it still, but no /proc/N/fd
                return False
    until(lambda: not held(), 15, "all have closed the port")
    until(refused, 15, "the kernel refuses a datagram")


@pytest.mark.parametrize("mpm", ["event", "worker"])
def test_without_the_module(fresh_httpd, mpm):
    """`a2dismod http3`, graceful: its sockets go with it, and come back with it."""
    httpd = fresh_httpd(mpm=mpm, altsvc=True)
    httpd.add("""<IfModule http3_module>
    H3GracefulTimeout 5
</IfModule>
<IfModule altsvc_module>
    AltSvc auto
</IfModule>""")
    httpd.vhost("h3.test").start()
    has_http3(httpd)
    fds = len(procs.fds(httpd.parent))
    # Altogether, mod_http3 alone, mod_altsvc alone; by both kinds of restart.
    for names, restart in (((), httpd.graceful), (("altsvc",), httpd.graceful),
                           ((), httpd.restart)):
        with httpd.h3() as conn:
            assert conn.request("GET", "/small.txt").body == content.SMALL
            modules_in(httpd, *names)
            restart()
            assert httpd.udp_bound() == 0
            assert conn.wait_end(10).code == 0x100
        nobody_has(httpd)
        has_no_http3(httpd)
        modules_in(httpd, "http3", "altsvc")
        httpd.graceful()
        has_http3(httpd)
    modules_in(httpd, "http3")
    httpd.graceful()
    assert httpd.fetch("3", "/small.txt").get("alt-svc") is None
    assert len(procs.fds(httpd.parent)) == fds


@pytest.mark.sanitize
def test_without_the_module_a_download_ends_whole(fresh_httpd):
    """Its children have it still; new clients are refused meanwhile."""
    size = 3 << 20
    httpd = fresh_httpd()
    content.sparse(httpd.path("htdocs", "long.bin"), size)
    httpd.vhost("h3.test").start()
    with Load(httpd, "--rate-limit", size // 2, paths=["/long.bin"], seconds=60) as download:
        until(lambda: httpd.gauge("Streams") == 1, 10, "the download has begun")
        modules_in(httpd)
        httpd.graceful()
        assert download.running
        whole = download.finish()
    assert whole["ok"] == 1 and whole["body_bytes"] == size
    nobody_has(httpd)
