# SPDX-License-Identifier: Apache-2.0
"""The drivers of apr-util, which keeps tables of the process in the topmost pool that it finds
above the one it is given. Each driver is used first of all by many requests of HTTP/3 at once, in a
child that has done nothing before, and over TCP afterwards."""
import base64
import os
import sqlite3

import pytest

from h3test import content
from h3test.installed import run_mode
from h3test.ldap import Directory
from h3test.load import load
from h3test.tools import need, run

TCP = ("1.1", "2")
REQUESTS, CONNECTIONS, STREAMS = (60, 2, 30) if run_mode() else (2000, 20, 100)
CREDENTIALS = ("Authorization", "Basic " + base64.b64encode(
    ("%s:%s" % (content.USER, content.PASSWORD)).encode()).decode())
PATH = "/list/one.txt"
QUERY = "AuthBasicProvider dbd\nAuthDBDUserPWQuery \"SELECT password FROM users WHERE name = %s\""


@pytest.fixture
def make(fresh_httpd):
    """One child, not started yet; `directory` is for the folder of PATH, where a password is."""
    def one(modules, directory, server="", host=""):
        httpd = fresh_httpd(modules=modules, mpm_text=(
            "StartServers 1\nServerLimit 1\nThreadLimit 64\nThreadsPerChild 32\n"
            "MinSpareThreads 1\nMaxSpareThreads 32\nMaxRequestWorkers 32\n"))
        httpd.add(server.format(root=httpd.root))
        httpd.vhost(body="{host}\n<Directory {docs}/list>\nAuthType Basic\nAuthName x\n"
                    "Require valid-user\n{directory}\n</Directory>".format(
                        docs=httpd.docs, host=host.format(root=httpd.root),
                        directory=directory.format(root=httpd.root)))
        return httpd
    return one


def flood(httpd, status=200, field=CREDENTIALS, path=PATH):
    """Many at once of the fresh child, then some over TCP; it is the same child at the end."""
    httpd.start()
    child = httpd.child()
    report = load(httpd, "-c", CONNECTIONS, "-m", STREAMS, "-n", REQUESTS, "--verify", status,
                  "-H", "%s: %s" % field, paths=(path,))
    assert report["ok"] == REQUESTS, report
    for version in TCP:
        assert httpd.fetch(version, path, fields=[field]).status == status
    assert httpd.fetch("3", path, fields=[field]).status == status
    assert httpd.child() == child


def password_file(httpd, kind):
    path = httpd.path("passwords")
    run(need("htdbm"), "-bcs", "-T" + kind, path, content.USER, content.PASSWORD)
    for name in os.listdir(httpd.root):
        if name.startswith("passwords"):
            os.chmod(httpd.path(name), 0o644)


# Debian's libaprutil1 has these; "default" finds its driver by another way.
@pytest.mark.parametrize("kind", [
    "default", "GDBM", "DB", pytest.param("SDBM", marks=pytest.mark.sanitize)])
def test_dbm(make, kind):
    httpd = make(["authn_dbm"], "AuthBasicProvider dbm\nAuthDBMType %s\n"
                 "AuthDBMUserFile {root}/passwords" % kind)
    password_file(httpd, kind)
    flood(httpd)


def test_dbm_of_groups(make):
    """Two modules, two files, one driver."""
    httpd = make(["authn_dbm", "authz_dbm"],
                 "AuthBasicProvider dbm\nAuthDBMType GDBM\nAuthDBMUserFile {root}/passwords\n"
                 "AuthDBMGroupFile {root}/passwords\n<RequireAll>\nRequire valid-user\n"
                 "Require not dbm-group nobody\n</RequireAll>")
    password_file(httpd, "GDBM")
    flood(httpd)


def test_dbm_of_a_rewrite_map(make):
    httpd = make([], "AuthUserFile {root}/htpasswd\nRewriteEngine on\n"
                 "RewriteRule ^alias\\.txt$ ${{pages:alias|none.txt}}",
                 host="RewriteMap pages dbm=sdbm:{root}/pages")
    content.write(httpd.path("pages.txt"), "alias one.txt\n")
    run(need("httxt2dbm"), "-f", "SDBM", "-i", httpd.path("pages.txt"), "-o", httpd.path("pages"))
    flood(httpd, path="/list/alias.txt")


def test_cache_of_passwords(make):
    """Not mod_socache_dbm, whose one pool all threads share: it ends the child over HTTP/2 too."""
    httpd = make(["authn_socache"], "AuthBasicProvider socache file\n"
                 "AuthUserFile {root}/htpasswd\nAuthnCacheProvideFor file",
                 "AuthnCacheEnable\nAuthnCacheSOCache shmcb:{root}/run/cache")
    os.chmod(httpd.path("run"), 0o777)
    flood(httpd)


def database(httpd):
    """An SQLite database with one user."""
    path = httpd.path("users.db")
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE users (name TEXT, password TEXT)")
        db.execute("INSERT INTO users VALUES (?, ?)", (
            content.USER, content.htpasswd_line().strip().split(":", 1)[1]))
    db.close()
    os.chmod(path, 0o644)


@pytest.mark.parametrize("persist", [pytest.param("On", marks=pytest.mark.sanitize), "Off"])
def test_dbd_sqlite(make, persist):
    """With persistence there are fewer handles (DBDMax, 10) than requests that want one."""
    httpd = make(["dbd", "authn_dbd"], QUERY,
                 "DBDriver sqlite3\nDBDPersist %s\nDBDParams {root}/users.db" % persist)
    database(httpd)
    flood(httpd)


def test_dbd_odbc(make):
    """On one thread: what is below this driver takes no more of them."""
    httpd = make(["dbd", "authn_dbd"], QUERY, "DBDriver odbc\nDBDPersist Off\n"
                 "DBDParams \"connect='DRIVER=SQLite3;Database={root}/users.db'\"\n"
                 "H3MinWorkers 1\nH3MaxWorkers 1")
    database(httpd)
    flood(httpd)


@pytest.mark.parametrize("driver", ["mysql", "pgsql"])
def test_dbd_of_a_server_that_is_not_there(make, driver):
    httpd = make(["dbd", "authn_dbd"], QUERY,
                 "DBDriver %s\nDBDParams \"host=127.0.0.1 port=1 user=nobody\"" % driver)
    flood(httpd, 500)


def test_crypto(make):
    """Sessions in encrypted cookies: the load brings one that was made by the server before."""
    httpd = make(["session", "session_cookie", "session_crypto", "auth_form", "request"],
                 "AuthType Form\nAuthFormProvider file\nAuthUserFile {root}/htpasswd\n"
                 "Session On\nSessionCookieName session path=/\nSessionCryptoPassphrase secret")
    httpd.add("<Location /login>\nSetHandler form-login-handler\nAuthFormLoginSuccessLocation /\n"
              "AuthFormProvider file\nAuthType Form\nAuthName x\nAuthUserFile %s/htpasswd\n"
              "Session On\nSessionCookieName session path=/\nSessionCryptoPassphrase secret\n"
              "</Location>" % httpd.root)
    httpd.start()
    answer = httpd.fetch("3", "/login", "POST",
                         [("Content-Type", "application/x-www-form-urlencoded")],
                         b"httpd_username=alice&httpd_password=open+sesame")
    cookie = answer.get("set-cookie").split(";")[0]
    assert answer.status == 302 and cookie.startswith("session=")
    httpd.stop()
    flood(httpd, field=("Cookie", cookie))


def test_ldap(make):
    with Directory(content.USER, content.PASSWORD) as directory:
        httpd = make(["ldap", "authnz_ldap"], "AuthBasicProvider ldap\nAuthLDAPURL %s NONE"
                     % directory.url)
        flood(httpd)
