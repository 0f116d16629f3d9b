# SPDX-License-Identifier: Apache-2.0
"""Applications behind httpd, over HTTP/1.1, HTTP/2 and HTTP/3: PHP by FastCGI, WSGI by uwsgi, a
login with its session in a cookie or in a database, passwords cached in redis, git."""
import hashlib
import os
import sqlite3

import pytest

from h3test import apps, content
from h3test.bridge import Bridge
from h3test.stepwise import Exchange, Gates
from h3test.tools import need, run

VERSIONS = ("1.1", "2", "3")
# Under the sanitizers only what runs the code that they look at.
CHECKED = ("1.1", "2", pytest.param("3", marks=pytest.mark.sanitize))
NUMBER = {"1.1": "1.1", "2": "2.0", "3": "3.0"}
FORM = [("Content-Type", "application/x-www-form-urlencoded")]
# A script writes a piece, then waits for the file that its reader makes once it has seen it.
GATE = """
$gate = $_GET['gate'];
function gate($i) {
    global $gate;
    while (!file_exists("$gate/$i")) { usleep(10000); clearstatcache(); }
}
"""
PHP = {
    "form.php": "<?php header('Content-Type: text/plain');\n"
                "echo $_SERVER['SERVER_PROTOCOL'], ' ', $_SERVER['REQUEST_METHOD'], ' ',\n"
                "     $_SERVER['HTTPS'], \"\\n\", $_POST['name'], '|', $_POST['text'];\n",
    "upload.php": "<?php header('Content-Type: text/plain'); $file = $_FILES['file'];\n"
                  "echo $file['name'], ' ', $file['size'], ' ',\n"
                  "     hash_file('sha256', $file['tmp_name']);\n",
    "input.php": "<?php echo hash('sha256', file_get_contents('php://input'));\n",
    "session.php": "<?php session_start(); $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1;\n"
                   "echo $_SESSION['n'];\n",
    "status.php": "<?php http_response_code((int)$_GET['status']);\n"
                  "header('Location: /else.php', false, (int)$_GET['status']); echo 'said';\n",
    "large.php": "<?php for ($i = 0; $i < 256; $i++) echo str_repeat(chr($i), 16384);\n",
    "pieces.php": "<?php" + GATE + "for ($i = 0; $i < 5; $i++) {\n"
                  "    echo \"piece $i\\n\"; flush(); gate($i);\n}\n",
    "events.php": "<?php" + GATE + "header('Content-Type: text/event-stream');\n"
                  "for ($i = 0; $i < 5; $i++) {\n"
                  "    echo \"id: $i\\ndata: event $i\\n\\n\"; flush(); gate($i);\n}\n",
}
WSGI = """
import hashlib, os, time

def gate(folder, name):
    while not os.path.exists(os.path.join(folder, str(name))):
        time.sleep(0.01)

def pieces(folder):
    for i in range(5):
        yield b"piece %d\\n" % i
        gate(folder, i)

def application(environ, start_response):
    path = environ["PATH_INFO"].rsplit("/", 1)[-1]
    if path == "pieces":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return pieces(environ["QUERY_STRING"].split("=", 1)[1])
    digest, size = hashlib.sha256(), 0
    while True:
        piece = environ["wsgi.input"].read(65536)
        if not piece:
            break
        digest.update(piece)
        size += len(piece)
    body = "%s %s %d %s" % (environ["SERVER_PROTOCOL"], environ["REQUEST_METHOD"], size,
                            digest.hexdigest())
    start_response("201 Made", [("Content-Type", "text/plain"), ("X-Two", "a"), ("X-Two", "b"),
                                ("Content-Length", str(len(body)))])
    return [body.encode()]
"""


@pytest.fixture(scope="module")
def php(make_httpd):
    httpd = make_httpd(modules=["proxy_fcgi"])
    for name, text in PHP.items():
        content.write(os.path.join(httpd.docs, name), text)
    with apps.php_fpm(httpd) as fpm:
        httpd.vhost(body="""
        <FilesMatch "\\.php$">
            SetHandler "proxy:unix:{path}|fcgi://php/"
        </FilesMatch>
        # PHP takes no body whose length it is not told.
        SetEnvIf Request_URI ^/input proxy-sendcl
        """.format(path=fpm.path))
        # httpd itself waits for more than a few bytes before it writes to TCP, unless told.
        httpd.vhost("flush.h3.test", """
        <Proxy "fcgi://flush/">
            ProxySet flushpackets=on
        </Proxy>
        <FilesMatch "\\.php$">
            SetHandler "proxy:unix:{path}|fcgi://flush/"
        </FilesMatch>
        """.format(path=fpm.path))
        yield httpd.start()


@pytest.mark.parametrize("version", VERSIONS)
def test_php_form(php, version):
    answer = php.fetch(version, "/form.php", "POST", FORM, b"name=a+b&text=%C3%A4")
    assert answer.text == "HTTP/%s POST on\na b|\u00e4" % NUMBER[version]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("size", [1, 20000, 3000000])
def test_php_upload(php, version, size):
    data = content.pseudo_random(size)
    body = (b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n'
            b"Content-Type: application/octet-stream\r\n\r\n" + data + b"\r\n--xyz--\r\n")
    answer = php.fetch(version, "/upload.php", "POST",
                       [("Content-Type", "multipart/form-data; boundary=xyz")], body)
    assert answer.text == "a.bin %d %s" % (size, hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize("version", VERSIONS)
def test_php_upload_of_unknown_length(php, version):
    """With proxy-sendcl mod_proxy_fcgi reads the body first, to say its length."""
    pieces = [content.pseudo_random(5000, b"%d" % i) for i in range(20)]
    answer = php.fetch(version, "/input.php", "PUT", body=pieces)
    assert answer.text == hashlib.sha256(b"".join(pieces)).hexdigest()


@pytest.mark.parametrize("version", VERSIONS)
def test_php_session(php, version):
    """A cookie of the session that another protocol goes on with."""
    answer = php.fetch(version, "/session.php")
    assert answer.text == "1"
    cookie = answer.get("set-cookie").split(";")[0]
    for count, other in enumerate(VERSIONS, 2):
        assert php.fetch(other, "/session.php", fields=[("Cookie", cookie)]).text == str(count)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("status", [201, 302, 404, 503])
def test_php_status(php, version, status):
    answer = php.fetch(version, "/status.php?status=%d" % status)
    assert (answer.status, answer.text) == (status, "said")
    assert answer.get("location") == "/else.php"


@pytest.mark.parametrize("version", VERSIONS)
def test_php_large_response(php, version):
    want = b"".join(bytes([i]) * 16384 for i in range(256))
    assert php.fetch(version, "/large.php").body == want


@pytest.mark.parametrize("version", CHECKED[1:])
def test_php_pieces(php, version):
    """Each piece is there before the next one is written, without being told to flush."""
    pieces_come(php, version, "/pieces.php", b"piece %d\n")


@pytest.mark.parametrize("version", VERSIONS)
def test_php_pieces_with_flushpackets(php, version):
    pieces_come(php, version, "/pieces.php", b"piece %d\n", sni="flush.h3.test")


@pytest.mark.parametrize("version", ["2", "3"])
def test_php_events(php, version):
    exchange = pieces_come(php, version, "/events.php", b"data: event %d\n\n")
    assert exchange.response.get("content-type").startswith("text/event-stream")


def pieces_come(httpd, version, path, piece, **options):
    """Reads a response of five pieces, each of which is written when the one before was seen."""
    gates = Gates(httpd)
    with httpd.client(version, **options) as conn:
        exchange = Exchange(conn, path="%s?gate=%s" % (path, gates.folder))
        for i in range(5):
            exchange.see_text(piece % i)
            assert piece % (i + 1) not in exchange.response.body
            gates.open(i)
        assert exchange.finish().status == 200
        return exchange


@pytest.fixture(scope="module")
def wsgi(make_httpd):
    httpd = make_httpd(modules=["proxy_uwsgi"])
    with apps.uwsgi(httpd, WSGI) as server:
        httpd.vhost(body="ProxyPass /app/ unix:%s|uwsgi://app/" % server.path)
        yield httpd.start()


@pytest.mark.parametrize("version", VERSIONS)
def test_wsgi_upload(wsgi, version):
    data = content.pseudo_random(300000)
    answer = wsgi.fetch(version, "/app/up", "POST", body=data)
    assert (answer.status, answer.get_all("x-two")) == (201, ["a", "b"])
    assert answer.text == "HTTP/%s POST 300000 %s" % (
        NUMBER[version], hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize("version", VERSIONS)
def test_wsgi_upload_of_unknown_length(wsgi, version):
    """mod_proxy_uwsgi wants to know it. HTTP/1.1 cannot go on after a body that is not read."""
    with wsgi.client(version) as conn:
        assert conn.request("POST", "/app/up", body=[b"some", b"thing"]).status == 411
        if version != "1.1":
            assert conn.request("POST", "/app/up", body=b"something").status == 201


@pytest.mark.parametrize("version", ["2", "3"])
def test_wsgi_pieces(wsgi, version):
    pieces_come(wsgi, version, "/app/pieces", b"piece %d\n")


SESSIONS = {
    "cookie": "SessionCookieName session path=/",
    "crypto": "SessionCookieName session path=/\nSessionCryptoPassphrase secret",
    "dbd": "SessionDBDCookieName session path=/",
}
SQL = """
DBDriver sqlite3
DBDParams {folder}/sessions.db
DBDPrepareSQL "delete from session where key = %s" deletesession
DBDPrepareSQL "update session set value = %s, expiry = %lld, key = %s where key = %s" updatesession
DBDPrepareSQL "insert into session (value, expiry, key) values (%s, %lld, %s)" insertsession
DBDPrepareSQL "select value from session where key = %s and (expiry = 0 or expiry > %lld)" \\
    selectsession
DBDPrepareSQL "delete from session where expiry != 0 and expiry < %lld" cleansession
"""


def sessions_table(httpd):
    folder = httpd.path("sessions")
    os.mkdir(folder)
    path = os.path.join(folder, "sessions.db")
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE session (key TEXT PRIMARY KEY, value TEXT, expiry INTEGER)")
    db.close()
    os.chmod(folder, 0o777)
    os.chmod(path, 0o666)
    return SQL.replace("{folder}", folder)


@pytest.fixture(scope="module", params=sorted(SESSIONS))
def login(make_httpd, request):
    httpd = make_httpd(modules=["session", "session_cookie", "session_crypto", "session_dbd", "dbd",
                                "auth_form", "request"])
    sql = sessions_table(httpd) if request.param == "dbd" else ""
    form = ("AuthType Form\nAuthName x\nAuthFormProvider file\nAuthUserFile %s/htpasswd\n"
            "Session On\n%s\n" % (httpd.root, SESSIONS[request.param]))
    httpd.vhost(body=sql + """
    <Location /login>
        SetHandler form-login-handler
        AuthFormLoginSuccessLocation https://h3.test/list/
        AuthFormLoginRequiredLocation https://h3.test/form
        {form}
    </Location>
    <Location /logout>
        SetHandler form-logout-handler
        AuthFormLogoutLocation https://h3.test/bye
        SessionMaxAge 1
        {form}
    </Location>
    <Location /list>
        AuthFormLoginRequiredLocation https://h3.test/form
        Require valid-user
        {form}
    </Location>
    """.format(form=form))
    return httpd.start()


@pytest.mark.parametrize("version", VERSIONS)
def test_login(login, version):
    def location(answer):
        return answer.status, answer.get("location")

    with login.client(version) as conn:
        assert location(conn.request("GET", "/list/one.txt")) == (302, "https://h3.test/form")
        wrong = b"httpd_username=alice&httpd_password=no"
        assert location(conn.request("POST", "/login", FORM, wrong)) == (
            302, "https://h3.test/form")
        right = b"httpd_username=alice&httpd_password=open+sesame"
        answer = conn.request("POST", "/login", FORM, right)
        assert location(answer) == (302, "https://h3.test/list/")
        cookie = [("Cookie", answer.get("set-cookie").split(";")[0])]
        assert conn.request("GET", "/list/one.txt", cookie).body == b"one\n"
        for other in VERSIONS:
            assert login.fetch(other, "/list/one.txt", fields=cookie).body == b"one\n"
        answer = conn.request("GET", "/logout", cookie)
        assert location(answer) == (307, "https://h3.test/bye")
        assert "session=" in answer.get("set-cookie")
        empty = [("Cookie", answer.get("set-cookie").split(";")[0])]
        assert location(conn.request("GET", "/list/one.txt", empty)) == (
            302, "https://h3.test/form")


def test_passwords_in_redis(fresh_httpd):
    """What a request of HTTP/3 has put there serves TCP, where the file is gone."""
    httpd = fresh_httpd(modules=["authn_socache", "socache_redis"])
    port = httpd.new_port()
    with apps.redis(httpd, port):
        httpd.add("AuthnCacheEnable\nAuthnCacheSOCache redis:127.0.0.1:%d" % port)
        httpd.vhost(body="""
        <Location /list>
            AuthType Basic
            AuthName x
            AuthBasicProvider socache file
            AuthUserFile {root}/htpasswd
            AuthnCacheProvideFor file
            Require valid-user
        </Location>""".format(root=httpd.root)).start()
        fields = [("Authorization", "Basic YWxpY2U6b3BlbiBzZXNhbWU=")]
        assert httpd.fetch("3", "/list/one.txt", fields=fields).status == 200
        assert run(need("redis-cli"), "-p", str(port), "dbsize")[1].strip() == "1"
        os.rename(httpd.path("htpasswd"), httpd.path("htpasswd.gone"))
        for version in VERSIONS:
            assert httpd.fetch(version, "/list/one.txt", fields=fields).status == 200
        httpd.stop()


@pytest.fixture
def git(tmp_path, ca):
    """A function that runs git without the machine's and the user's settings."""
    env = dict(os.environ, GIT_CONFIG_GLOBAL="/dev/null", GIT_CONFIG_NOSYSTEM="1",
               HOME=str(tmp_path), GIT_TERMINAL_PROMPT="0", GIT_SSL_CAINFO=ca.file)
    for who in ("AUTHOR", "COMMITTER"):
        env.update({"GIT_%s_NAME" % who: "a", "GIT_%s_EMAIL" % who: "a@h3.test"})
    return lambda *words: run(need("git"), *map(str, words), env=env)[1].strip()


def test_git(fresh_httpd, git, tmp_path):
    """Clone, push and fetch over HTTP/3; a clone over TCP has the same."""
    httpd = fresh_httpd()
    httpd.vhost(body="""
    SetEnv GIT_PROJECT_ROOT {root}/git
    SetEnv GIT_HTTP_EXPORT_ALL 1
    ScriptAlias /git/ {program}/git-http-backend/
    <Directory {program}>
        Options ExecCGI
        Require all granted
    </Directory>""".format(root=httpd.root, program=git("--exec-path"))).start()
    repository = httpd.path("git", "repo.git")
    git("init", "--bare", "-b", "main", repository)
    git("-C", repository, "config", "http.receivepack", "true")
    if os.geteuid() == 0:
        run("chown", "-R", "www-data:www-data", httpd.path("git"))
    with Bridge(httpd) as bridge:
        url = bridge.url + "/git/repo.git"
        first, second, third = (tmp_path / name for name in ("first", "second", "third"))
        git("clone", url, first)
        content.write(str(first / "large.bin"), content.pseudo_random(3 << 20))
        for i in range(200):
            content.write(str(first / "many" / str(i)), "file %d\n" % i)
        git("-C", first, "add", ".")
        git("-C", first, "commit", "-m", "all")
        git("-C", first, "push", "origin", "HEAD:main")
        git("clone", url, second)
        content.write(str(second / "more"), "more\n")
        git("-C", second, "add", ".")
        git("-C", second, "commit", "-m", "more")
        git("-C", second, "push", "origin", "HEAD:main")
        git("-C", first, "pull", "origin", "main")
        assert bridge.faults == []
    git("-c", "http.curloptResolve=h3.test:%d:127.0.0.1" % httpd.port, "clone",
        "https://h3.test:%d/git/repo.git" % httpd.port, third)
    heads = {git("-C", clone, "rev-parse", "HEAD") for clone in (first, second, third)}
    assert len(heads) == 1
    assert (third / "large.bin").read_bytes() == content.pseudo_random(3 << 20)
    assert '"POST /git/repo.git/git-receive-pack HTTP/3.0" 200' in httpd.access()
