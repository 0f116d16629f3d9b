# SPDX-License-Identifier: Apache-2.0
"""The modules as guests: what they export, in which order they load, what restarts leave."""
import os
import re
import subprocess

import pytest

from h3test import content, procs
from h3test.installed import has_module, module_under_test
from h3test.wait import SLOWNESS, until

RESTARTS = 20


@pytest.mark.parametrize("variable, record", [
    ("HTTP3_MODULE", "http3_module"), ("ALTSVC_MODULE", "altsvc_module")])
def test_exported_symbols(variable, record):
    """Only the module's record: a symbol of BoringSSL would be taken for OpenSSL's."""
    out = subprocess.run(["nm", "-D", "--defined-only", module_under_test(variable)], check=True,
                         capture_output=True, text=True).stdout
    names = {line.split()[-1].split("@")[0] for line in out.splitlines()
             if line.split()[-2] != "A"}
    assert names == {record}


@pytest.mark.sanitize
@pytest.mark.parametrize("order", ["before", "after"])
def test_order_of_loading(fresh_httpd, order):
    """Before and after mod_ssl, with restarts, which load both again."""
    httpd = fresh_httpd(order=order, altsvc=True)
    httpd.vhost("h3.test", "AltSvc auto")
    httpd.start()
    for _ in range(3):
        for version in ("1.1", "2", "3"):
            assert httpd.fetch(version, "/small.txt").body == content.SMALL
            # Nothing is advertised while a new child has not begun to accept.
            until(lambda: len(httpd.fetch(version, "/small.txt").get_all("alt-svc")) == 1, 10,
                  "one Alt-Svc")
        httpd.graceful()
    httpd.restart()
    for version in ("3", "2"):
        assert httpd.fetch(version, "/small.txt").body == content.SMALL

    def script_runs():
        """mod_cgid may say 503 for a moment, while its daemon is another; it never says nothing."""
        status = httpd.fetch("3", "/cgi-bin/env.cgi").status
        assert status in (200, 503)
        return status == 200
    until(script_runs, 10, "a CGI script runs")


@pytest.mark.parametrize("without", [["http2"], ["status"], ["unique_id", "reqtimeout"],
                                     ["setenvif", "deflate", "include"]])
def test_without_other_modules(fresh_httpd, without):
    httpd = fresh_httpd(without=without, protocols="h3 http/1.1")
    httpd.vhost("h3.test")
    httpd.start()
    for version in ("1.1", "3"):
        assert httpd.fetch(version, "/small.txt").body == content.SMALL
        assert httpd.fetch(version, "/cgi-bin/echo.cgi", "POST", body=b"x").body == b"x"


def test_with_many_other_modules(fresh_httpd):
    """Modules that look into every connection and request."""
    httpd = fresh_httpd(modules=["dumpio", "log_forensic", "remoteip", "ratelimit", "buffer",
                                 "request", "session", "session_cookie", "sed", "substitute",
                                 "usertrack", "brotli", "http2", "proxy_http2", "log_debug",
                                 "dav", "dav_fs", "cache", "cache_disk", "allowmethods",
                                 "authz_groupfile", "info", "actions", "vhost_alias",
                                 *(m for m in ["lua"] if has_module(m))])
    httpd.add("DumpIOInput On\nDumpIOOutput On\nForensicLog %s\nDAVLockDB %s\n"
              "RemoteIPHeader X-Client-IP\nRemoteIPInternalProxy 127.0.0.1" % (
                  httpd.path("logs", "forensic"), httpd.path("run", "davlock")))
    os.mkdir(httpd.path("htdocs", "dav"))
    os.chmod(httpd.path("htdocs", "dav"), 0o777)
    os.chmod(httpd.path("run"), 0o777)
    httpd.vhost("h3.test", """CookieTracking on
    <Location /dav>
        DAV On
    </Location>
    <Location /small.txt>
        SetOutputFilter BROTLI_COMPRESS;DEFLATE
    </Location>
    """)
    httpd.start()
    for version in ("1.1", "2", "3"):
        assert httpd.fetch(version, "/small.txt").body == content.SMALL
        path = "/dav/%s.txt" % version
        assert httpd.fetch(version, path, "PUT", body=content.LARGE[:50000]).status == 201
        assert httpd.fetch(version, path).body == content.LARGE[:50000]
        assert httpd.fetch(version, "/dav/", "PROPFIND", [("Depth", "1")]).status == 207
        assert httpd.fetch(version, path, "DELETE").status == 204
    env = httpd.fetch("3", "/cgi-bin/env.cgi", fields=[("X-Client-IP", "192.0.2.7")]).text
    assert "REMOTE_ADDR=192.0.2.7\n" in env


def test_threads_per_child_is_thread_limit(fresh_httpd):
    """No room for our workers in the scoreboard."""
    httpd = fresh_httpd(mpm_text="StartServers 1\nServerLimit 2\nThreadLimit 4\n"
                        "ThreadsPerChild 4\nMinSpareThreads 1\nMaxSpareThreads 8\n"
                        "MaxRequestWorkers 8\n")
    httpd.vhost("h3.test")
    httpd.start()
    with httpd.h3() as conn:
        streams = [conn.open("GET", "/cgi-bin/env.cgi") for _ in range(30)]
        assert all(s.finish().status == 200 for s in streams)
    assert httpd.status()["ServerMPM"] == "event"


class Growth:
    """What a parent holds, to be compared after more restarts."""

    def __init__(self, httpd):
        self.httpd, pid = httpd, httpd.parent
        self.fds = sorted(re.sub(r"\d+", "N", what) for what in procs.fds(pid).values())
        self.threads = procs.threads(pid)
        self.memory = procs.kib(pid, "VmRSS")
        with open("/proc/%d/maps" % pid) as maps:
            self.maps = len(maps.readlines())


@pytest.mark.slow
@pytest.mark.timeout(int(300 * SLOWNESS))
def test_graceful_restarts_leak_nothing(fresh_httpd):
    """Twenty in a row, beside the same configuration without the modules."""
    loaded = fresh_httpd(altsvc=True)
    plain = fresh_httpd(http3=False, protocols="h2 http/1.1")
    loaded.vhost("h3.test", "AltSvc auto")
    plain.vhost("h3.test")
    before = {}
    for httpd in (loaded, plain):
        httpd.start()
    # The first few make the heap what it will be.
    for turn in range(RESTARTS):
        if turn == 5:
            before = {httpd: Growth(httpd) for httpd in (loaded, plain)}
        for httpd in (loaded, plain):
            httpd.graceful()
        assert loaded.fetch("3", "/small.txt").body == content.SMALL
    for httpd in (loaded, plain):
        until(lambda: len(httpd.children()) == 1, 40, "the old children are gone")
    after = {httpd: Growth(httpd) for httpd in (loaded, plain)}
    assert after[loaded].fds == before[loaded].fds
    assert after[loaded].threads == before[loaded].threads == after[plain].threads == 1
    grown = {h: after[h].memory - before[h].memory for h in (loaded, plain)}
    assert grown[loaded] <= grown[plain] + 512, grown
    assert after[loaded].maps - before[loaded].maps <= after[plain].maps - before[plain].maps + 4


def test_children_end_clean(fresh_httpd):
    """Ten ungraceful restarts in a row with connections open: no child has to be killed."""
    httpd = fresh_httpd()
    httpd.vhost("h3.test")
    httpd.start()
    for _ in range(10):
        conn = httpd.h3()
        assert conn.request("GET", "/small.txt").status == 200
        conn.open("GET", "/cgi-bin/wait.cgi?5")
        conn.pump(0.05)
        httpd.restart()
        conn.abandon()
    assert "AH00046" not in httpd.log() and "still did not exit" not in httpd.log()
    assert httpd.fetch("3", "/small.txt").body == content.SMALL


def test_stop_is_quick(fresh_httpd):
    """SIGTERM cuts connections at once, as it does over TCP."""
    import time
    httpd = fresh_httpd()
    httpd.vhost("h3.test")
    httpd.start()
    conn = httpd.h3()
    conn.request("GET", "/small.txt")
    began = time.monotonic()
    httpd.stop()
    assert time.monotonic() - began < 3 * SLOWNESS
    assert conn.wait_end(5).code in (0x100, 0x0)
    conn.abandon()
