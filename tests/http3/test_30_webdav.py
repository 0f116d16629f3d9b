# SPDX-License-Identifier: Apache-2.0
"""WebDAV over HTTP/3. litmus, the suite of its servers, says the same as over TCP, and is the first
that asks a child: what mod_dav opens once per child is opened by a request of HTTP/3."""
import os
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from h3test.bridge import Bridge
from h3test.tools import need, run

MODULES = ("dav", "dav_fs", "dav_lock")
SUITES = ("basic", "copymove", "props", "locks", "http")


@pytest.fixture
def httpd(fresh_httpd):
    httpd = fresh_httpd(modules=MODULES)
    for path in (httpd.path("locks"), httpd.path("dav")):
        os.mkdir(path)
        os.chmod(path, 0o777)
    body = """
    Alias /dav {root}/dav
    <Directory {root}/dav>
        Dav On
        Require all granted
    </Directory>""".format(root=httpd.root)
    httpd.add("DavLockDB %s" % httpd.path("locks", "db"))
    httpd.vhost(body=body).vhost(body=body, tls=False, address="127.0.0.1")
    return httpd.start()


def litmus(url, folder, suites=SUITES, path="/dav/"):
    """What it says of each test, and its summaries, as lines. All tests have passed."""
    env = dict(os.environ, TESTS=" ".join(suites))
    _, output = run("env", "-C", str(folder), need("litmus"), "-k", url + path, check=False,
                    env=env)
    # As for a terminal: the name of a test, then the line once more with its outcome.
    lines = [line.strip() for line in re.split("[\r\n]+", output)]
    lines = [line for line in lines if line and not line.endswith("..")]
    summaries = [line for line in lines if line.startswith("<- summary")]
    assert len(summaries) == len(suites), output
    assert all(" 0 failed. 100.0%" in line for line in summaries), output
    return lines


@pytest.mark.sanitize
def test_litmus(httpd, tmp_path):
    with Bridge(httpd) as bridge:
        over_quic = litmus(bridge.url, tmp_path)
        assert bridge.faults == []
    # It asks no server with TLS for 100 (Continue), so that part is compared with clear text.
    over_tcp = litmus("https://127.0.0.1:%d" % httpd.port, tmp_path, SUITES[:-1])
    over_tcp += litmus("http://127.0.0.1:%d" % httpd.clear_port, tmp_path, SUITES[-1:])
    assert over_quic == over_tcp


def test_litmus_several_at_once(httpd, tmp_path):
    """Each in a collection of its own, without locks: mod_dav_fs of 2.4 keeps only other processes
    from its one lock database (fcntl) and mixes up what two threads write, over TCP as well."""
    suites = [name for name in SUITES if name != "locks"]
    names = [str(i) for i in range(4)]
    for name in names:
        os.mkdir(httpd.path("dav", name))
        os.chmod(httpd.path("dav", name), 0o777)
        (tmp_path / name).mkdir()
    with Bridge(httpd) as bridge, ThreadPoolExecutor() as pool:
        runs = [pool.submit(litmus, bridge.url, tmp_path / name, suites, "/dav/%s/" % name)
                for name in names]
        assert len({tuple(one.result()) for one in runs}) == 1
        assert bridge.faults == []


def test_locks_are_those_of_all_protocols(httpd):
    """A lock that is taken over HTTP/3, first of all requests, holds over TCP, and the other way
    round."""
    lock = (b'<?xml version="1.0"?><D:lockinfo xmlns:D="DAV:"><D:lockscope><D:exclusive/>'
            b"</D:lockscope><D:locktype><D:write/></D:locktype></D:lockinfo>")
    order = ("3", "1.1", "2")
    for owner in order:
        path = "/dav/by-%s.txt" % owner
        assert httpd.fetch(owner, path, "PUT", body=b"mine").status == 201
        answer = httpd.fetch(owner, path, "LOCK", [("Content-Type", "text/xml")], lock)
        assert answer.status == 200
        token = answer.get("lock-token")
        for version in order:
            assert httpd.fetch(version, path, "PUT", body=b"yours").status == 423
            assert httpd.fetch(version, path, "PUT", [("If", "(%s)" % token)],
                               version.encode()).status == 204
            assert httpd.fetch(version, path).body == version.encode()
            found = httpd.fetch(version, path, "PROPFIND", [("Depth", "0")])
            assert found.status == 207 and token.strip("<>") in found.text
        assert httpd.fetch(order[-1], path, "UNLOCK", [("Lock-Token", token)]).status == 204
        assert httpd.fetch("3", path, "PUT", body=b"free").status == 204


@pytest.mark.parametrize("version", ["1.1", "2", "3"])
def test_destination(httpd, version):
    """RFC 4918 section 10.3: an absolute URL, and one of this server: scheme and port are its own,
    whatever way the request has taken."""
    assert httpd.fetch(version, "/dav/a", "PUT", body=b"a").status == 201
    for to, status in (("https://h3.test:%d/dav/b" % httpd.port, 201),
                       ("http://h3.test:%d/dav/c" % httpd.port, 502),
                       ("ftp://h3.test/dav/d", 502),
                       ("https://h3.test:%d/dav/a" % httpd.port, 403)):
        answer = httpd.fetch(version, "/dav/a", "COPY", [("Destination", to)])
        assert answer.status == status, to
