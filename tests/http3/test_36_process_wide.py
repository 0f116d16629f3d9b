# SPDX-License-Identifier: Apache-2.0
"""What libraries keep once for the whole process, begun by a request over HTTP/3.

apr-util puts its tables of drivers where the pool that it was given hangs from. They have to be
there after that request, for HTTP/3 and for TCP.
"""
import base64
import os
import shutil
import sqlite3

import pytest

from h3test import content, tools
from h3test.installed import run_mode
from h3test.load import load

# What Debian's libaprutil1 has, as AuthDBMType names it.
DBM = ["SDBM", "GDBM", "DB"]
REQUESTS = 60 if run_mode() else 400
BASIC = "Basic " + base64.b64encode(b"anna:open sesame").decode()


def one_child():
    """A fresh child, and no other one that would take half of the connections."""
    return ("StartServers 1\nServerLimit 1\nThreadLimit 64\nThreadsPerChild 16\nMinSpareThreads 1\n"
            "MaxSpareThreads 16\nMaxRequestWorkers 16\n")


def readable(*paths):
    """By the children, which are www-data's where httpd was started by root."""
    if os.geteuid() == 0:
        for path in paths:
            shutil.chown(path, "www-data", "www-data")


def first_over_http3(httpd, path, fields=()):
    """The child's first requests are many at once over HTTP/3; then TCP, and all of it again."""
    pid = httpd.child()
    headers = [option for name, value in fields for option in ("-H", "%s: %s" % (name, value))]
    for _ in range(2):
        report = load(httpd, "-c", 8, "-m", 8, "-n", REQUESTS, "--verify", 200, *headers,
                      paths=(path,))
        assert report["ok"] == REQUESTS, report
        for version in ("1.1", "2"):
            assert httpd.fetch(version, path, fields=fields).status == 200
    assert httpd.child() == pid, "the child is another one"


@pytest.mark.sanitize
@pytest.mark.parametrize("kind", DBM)
def test_dbm(fresh_httpd, kind):
    httpd = fresh_httpd(modules=["authn_dbm"], mpm_text=one_child())
    users = httpd.path("conf", "users")
    tools.run(tools.need("htdbm"), "-cbT" + kind, users, "anna", "open sesame")
    content.write(httpd.path("htdocs/dbm/index.html"), "open\n")
    httpd.vhost("h3.test", """
    <Location /dbm>
        AuthType Basic
        AuthName x
        AuthBasicProvider dbm
        AuthDBMType %s
        AuthDBMUserFile %s
        Require valid-user
    </Location>""" % (kind, users))
    httpd.start()
    first_over_http3(httpd, "/dbm/index.html", [("authorization", BASIC)])
    assert httpd.fetch("3", "/dbm/index.html").status == 401


@pytest.mark.sanitize
def test_locks_of_dav(fresh_httpd):
    """mod_dav_fs keeps its locks in a DBM file; LOCK is the child's first request."""
    httpd = fresh_httpd(modules=["dav", "dav_fs"], mpm_text=one_child())
    httpd.add("DAVLockDB %s" % httpd.path("run", "davlock"))
    os.mkdir(httpd.path("htdocs", "dav"))
    readable(httpd.path("htdocs", "dav"), httpd.path("run"))
    os.chmod(httpd.path("htdocs", "dav"), 0o777)
    os.chmod(httpd.path("run"), 0o777)
    httpd.vhost("h3.test", "<Location /dav>\nDAV On\n</Location>")
    httpd.start()
    pid = httpd.child()
    body = (b'<?xml version="1.0"?><lockinfo xmlns="DAV:"><lockscope><exclusive/></lockscope>'
            b"<locktype><write/></locktype></lockinfo>")
    with httpd.h3() as conn:
        for n in range(4):
            answer = conn.request("LOCK", "/dav/%d.txt" % n, [("content-type", "text/xml")], body)
            assert answer.status == 200
        streams = [conn.open("PROPFIND", "/dav/%d.txt" % (n % 4), [("depth", "0")])
                   for n in range(40)]
        assert {s.finish().status for s in streams} == {207}
    assert httpd.fetch("1.1", "/dav/1.txt", "PUT", body=b"x").status == 423
    assert httpd.fetch("3", "/dav/1.txt", "PUT", body=b"x").status == 423
    assert httpd.child() == pid


@pytest.mark.sanitize
def test_sessions_encrypted_and_users_in_sqlite(fresh_httpd):
    """mod_session_crypto (apr_crypto), mod_session_dbd and mod_authn_dbd (apr_dbd)."""
    httpd = fresh_httpd(modules=["session", "session_cookie", "session_crypto", "session_dbd",
                                 "dbd", "authn_dbd", "auth_form", "request"],
                        mpm_text=one_child())
    name = httpd.path("run", "users.sqlite")
    with sqlite3.connect(name) as db:
        db.execute("create table users (name text primary key, password text)")
        db.execute("create table session (key text primary key, value text, expiry integer)")
        db.execute("insert into users values ('anna', ?)",
                   (tools.run("openssl", "passwd", "-apr1", "open sesame")[1].strip(),))
    db.close()
    readable(name, httpd.path("run"))
    for folder in ("dbd", "crypto"):
        content.write(httpd.path("htdocs", folder, "index.html"), "open\n")
    httpd.add("DBDriver sqlite3\nDBDParams %s\nDBDMax 4\n" % name)
    httpd.vhost("h3.test", """
    <Location /dbd>
        AuthType Basic
        AuthName x
        AuthBasicProvider dbd
        AuthDBDUserPWQuery "select password from users where name = %s"
        Require valid-user
    </Location>
    <Location /crypto>
        Session On
        SessionCookieName session path=/
        SessionCryptoPassphrase secret
        SessionMaxAge 100
        SessionHeader X-Session
    </Location>""")
    httpd.start()
    first_over_http3(httpd, "/dbd/index.html", [("authorization", BASIC)])
    first_over_http3(httpd, "/crypto/index.html", [("x-session", "a=b")])
    answer = httpd.fetch("3", "/crypto/index.html", fields=[("X-Session", "a=b")])
    cookie = answer.get_all("set-cookie")[0].split(";")[0]
    for version in ("1.1", "3"):
        assert httpd.fetch(version, "/crypto/index.html", fields=[("Cookie", cookie)]).status == 200
