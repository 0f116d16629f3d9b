# SPDX-License-Identifier: Apache-2.0
"""build/demo.sh: what a newcomer types first, and what it says when something is in the way."""
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import types

import pytest

from h3test import ports
from h3test.browser import Browser, available
from h3test.h1 import H1Conn
from h3test.h2conn import H2Conn
from h3test.h3conn import H3Conn, H3Settings
from h3test.installed import module_under_test
from h3test.wait import until

CLIENTS = {"1.1": H1Conn, "2": H2Conn,
           "3": lambda address, port, **settings: H3Conn(address, port, H3Settings(**settings))}
SCRIPT = os.path.join(os.path.dirname(__file__), "..", "..", "build", "demo.sh")


class Demo:
    """The script with a folder of its own, on the build under test."""

    def __init__(self, folder, port=None):
        self.folder = folder
        self.port = port or self._two_ports()
        build = os.path.dirname(os.path.dirname(module_under_test("HTTP3_MODULE")))
        self.env = dict(os.environ, DEMO_DIR=folder, DEMO_PORT=str(self.port), DEMO_BUILD=build)

    @staticmethod
    def _two_ports():
        """The backend takes the port after the demo's."""
        for _ in range(100):
            port = ports.free_port()
            with socket.socket() as sock:
                try:
                    sock.bind(("127.0.0.1", port + 1))
                except OSError:
                    continue
            return port
        raise AssertionError("no two free ports in a row")

    def run(self, *words, cwd=None, **env):
        done = subprocess.run(["sh", os.path.abspath(SCRIPT), *words], env={**self.env, **env},
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              cwd=cwd, timeout=120, check=False)
        return done.returncode, done.stdout

    def settings(self):
        code, output = self.run("env")
        assert code == 0
        return dict(line.replace("'", "").split("=", 1) for line in output.splitlines())

    def fetch(self, version, path):
        with CLIENTS[version]("127.0.0.1", self.port, ca_file=self.settings()["DEMO_CA"],
                              sni="localhost") as conn:
            return conn.request("GET", path)

    def end(self):
        pid = self.settings()["DEMO_PID"]
        code, output = self.run("stop")
        if code != 0 and pid:
            os.kill(int(pid), signal.SIGKILL)
        assert code == 0, output


@pytest.fixture(scope="module")
def space():
    """A folder that www-data may read, with a space in its name."""
    folder = tempfile.mkdtemp(prefix="h3test demo-", dir=os.environ.get("H3TEST_TMP", "/var/tmp"))
    os.chmod(folder, 0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def demo(space):
    demo = Demo(os.path.join(space, "one"))
    code, output = demo.run()
    try:
        assert code == 0, output
        demo.said = output
        yield demo
    finally:
        demo.end()


def test_it_starts_and_says_what_to_type(demo):
    for text in ("HTTP/3 on UDP", ":%d: 1 virtual host" % demo.port, "--origin-to-force-quic-on=",
                 "https://localhost:%d/" % demo.port, "Stop:  DEMO_DIR='%s' sh build/demo.sh stop"
                 % demo.folder, "--cacert '%s/tls/ca.crt'" % demo.folder):
        assert text in demo.said


@pytest.mark.parametrize("version", CLIENTS)
def test_the_site(demo, version):
    page = demo.fetch(version, "/")
    assert (page.status, page.get("content-type")) == (200, "text/html")
    assert page.get_all("alt-svc") == ['h3=":%d"; ma=86400' % demo.port]
    assert demo.fetch(version, "/tiles/099.svg").status == 200
    protocol = "HTTP/" + {"1.1": "1.1", "2": "2.0", "3": "3.0"}[version]
    assert "SERVER_PROTOCOL=" + protocol in demo.fetch(version, "/cgi-bin/hello").text
    assert demo.fetch(version, "/backend/").status == 200
    assert demo.fetch(version, "/server-status?auto").status == 200


@pytest.mark.skipif(not available(), reason="no Chromium on this machine")
def test_chromium_opens_the_page(demo, artefacts):
    """As a newcomer does: the first load by h2, the second by h3, with each of the 100 tiles."""
    certificate = types.SimpleNamespace(spki_hash=demo.settings()["DEMO_SPKI"])
    with Browser([certificate], hosts=("localhost",)) as browser:
        assert browser.navigate(demo.settings()["DEMO_URL"]) == "h2"
        until(lambda: browser.reload() == "h3", 20, "the document comes by h3")

        def tiles():
            return [p for u, p in browser.resource_protocols().items() if "/tiles/" in u]
        until(lambda: browser.evaluate("document.documentElement.dataset.done || ''") == "yes", 20,
              "the page has counted")
        assert tiles() == ["h3"] * 100
        assert browser.evaluate("document.getElementById('verdict').textContent") == \
            "The page and all 100 resources came over HTTP/3."
        browser.screenshot(os.path.join(artefacts, "demo-h3.png"))


def test_the_load_client_as_it_is_printed(demo):
    (line,) = [line for line in demo.said.splitlines() if "h3load' " in line]
    done = subprocess.run(["sh", "-c", line], stdout=subprocess.PIPE, text=True, timeout=60,
                          check=False)
    assert done.returncode == 0 and "SERVER_PROTOCOL=HTTP/3.0" in done.stdout


def test_twice(demo):
    code, output = demo.run()
    assert code == 0 and "the demo runs already (pid " in output
    code, output = demo.run(DEMO_PORT="9443")
    assert code == 1
    assert ("For port 9443 stop it first: DEMO_DIR='%s' sh build/demo.sh stop" % demo.folder
            in output)
    assert demo.run("status")[0] == 0


def test_a_busy_port(demo, space):
    other = Demo(os.path.join(space, "two"), demo.port)
    code, output = other.run()
    assert code == 1
    assert "Port %d or %d is taken by another program" % (demo.port, demo.port + 1) in output
    assert other.run("status")[0] == 3


def test_stop_without_start(space):
    demo = Demo(os.path.join(space, "never"), 9443)
    assert demo.run("stop") == (0, "demo.sh: the demo does not run\n")
    assert demo.run("status") == (3, "demo.sh: does not run\n")
    assert demo.settings()["DEMO_PID"] == ""
    assert not os.path.exists(demo.folder)


@pytest.mark.parametrize("port", ("0", "65535", "100000", "08443", "x", "-1"))
def test_a_port_that_is_none(space, port):
    demo = Demo(os.path.join(space, "never"), 9443)
    assert demo.run(DEMO_PORT=port) == (
        1, "demo.sh: DEMO_PORT=%s is no number from 1 to 65534.\n" % port)


def test_a_folder_with_other_things_is_left_alone(space):
    folder = os.path.join(space, "other")
    os.makedirs(os.path.join(folder, "cgi-bin"))
    demo = Demo(folder, 9443)
    code, output = demo.run()
    assert (code, output) == (
        1, "demo.sh: %s is not empty and no demo's: give another by DEMO_DIR=.\n" % folder)
    assert os.listdir(folder) == ["cgi-bin"]


def test_a_relative_folder_and_a_second_start(space):
    demo = Demo("relative")
    code, output = demo.run(cwd=space)
    assert code == 0, output
    demo.env["DEMO_DIR"] = os.path.join(space, "relative")
    demo.end()
    code, output = demo.run()
    try:
        assert code == 0, output
    finally:
        demo.end()


def test_an_unknown_word(demo):
    assert demo.run("begin") == (
        1, "demo.sh: unknown word begin; there are start, stop, status, env.\n")


# -- what is in the variables

def test_every_address(space):
    """`*` is a word of DEMO_ADDR, not the files of the folder that one is in."""
    folder = os.path.join(space, "files")
    os.mkdir(folder)
    for name in ("one", "192.0.2.1"):
        open(os.path.join(folder, name), "w").close()
    demo = Demo(os.path.join(space, "all"))
    code, output = demo.run(cwd=folder, DEMO_ADDR="*")
    try:
        assert code == 0, output
        with open(os.path.join(demo.folder, "conf", "listen")) as file:
            assert file.read() == "Listen %d https\n" % demo.port
        assert demo.fetch("3", "/").status == demo.fetch("1.1", "/").status == 200
        code, output = demo.run("env", cwd=folder)
        assert "DEMO_ADDR='*'\n" in output
    finally:
        demo.end()


def test_a_folder_with_many_characters(space):
    """And addresses in brackets; both as IPv6 is written elsewhere and with blanks around."""
    demo = Demo(os.path.join(space, "w\u00e4 (b), c;d=~+@%s {e}!"))
    code, output = demo.run(DEMO_ADDR=" 127.0.0.1  [::1] ")
    try:
        assert code == 0, output
        for version in CLIENTS:
            assert demo.fetch(version, "/").status == 200
        assert "SERVER_PROTOCOL=HTTP/3.0" in demo.fetch("3", "/cgi-bin/hello").text
        assert demo.fetch("3", "/backend/").status == 200
    finally:
        demo.end()


@pytest.mark.parametrize("variable, value, says", [
    ("DEMO_DIR", "/nowhere/it's", "httpd cannot have"), ("DEMO_DIR", '/nowhere/a"', "httpd cannot"),
    ("DEMO_DIR", "/nowhere/*", "httpd cannot have"), ("DEMO_DIR", "/nowhere/[a]", "httpd cannot"),
    ("DEMO_DIR", "/nowhere/a&b|c", "httpd cannot"), ("DEMO_DIR", "/nowhere/a\nb", "httpd cannot"),
    ("DEMO_DIR", "/nowhere/$HOME", "httpd cannot"), ("DEMO_DIR", "/nowhere/a\\b", "httpd cannot"),
    ("DEMO_BUILD", "/nowhere/a*", "httpd cannot"), ("DEMO_BUILD", "no/where", "does not exist"),
    ("DEMO_HOST", "*", "is no host name"), ("DEMO_HOST", "a b", "is no host name"),
    ("DEMO_HOST", "a'b", "is no host name"), ("DEMO_HOST", "a|b&", "is no host name"),
    ("DEMO_ADDR", "a;b", "are no addresses"), ("DEMO_ADDR", "it's", "are no addresses"),
    ("DEMO_ADDR", " ", "has no address"), ("DEMO_PORT", "*", "is no number"),
    ("DEMO_PORT", "84 43", "is no number"), ("DEMO_PORT", "'", "is no number")])
def test_a_value_that_cannot_be(space, variable, value, says):
    """A sentence that names the variable; nothing is made."""
    demo = Demo(os.path.join(space, "none"), 9443)
    code, output = demo.run(**{variable: value})
    assert code == 1 and says in output and variable in output, output
    assert output.startswith("demo.sh: ") and "syntax error" not in output.lower()
    assert not os.path.exists(demo.folder) and not os.path.exists("/nowhere")


@pytest.mark.parametrize("value", ["it's", "*", "a b", "$(touch oops)", "'; touch oops; '", "\\"])
def test_the_variables_for_a_shell(space, value):
    """eval "$(sh build/demo.sh env)" gives back each value and runs nothing."""
    demo = Demo(os.path.join(space, "never"), 9443)
    env = {**demo.env, "DEMO_HOST": value, "DEMO_ADDR": value, "DEMO_PORT": value}
    done = subprocess.run(
        ["sh", "-c", 'values=$(sh "$1" env); unset DEMO_HOST DEMO_ADDR DEMO_PORT; eval "$values"; '
         'printf "%s\\n" "$DEMO_HOST" "$DEMO_ADDR" "$DEMO_PORT"', "sh", os.path.abspath(SCRIPT)],
        env=env, cwd=space, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=30, check=True)
    assert done.stdout == "%s\n" % value * 3
    assert not os.path.exists(os.path.join(space, "oops"))


def test_a_udp_port_that_is_busy(space):
    """TCP would be served: the demo is stopped, and says why."""
    demo = Demo(os.path.join(space, "udp"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as busy:
        busy.bind(("127.0.0.1", demo.port))
        code, output = demo.run(DEMO_ADDR="127.0.0.1")
    try:
        assert code == 1 and "Port %d or %d is taken" % (demo.port, demo.port + 1) in output
        assert demo.run("status")[0] == 3
    finally:
        demo.end()


@pytest.mark.parametrize("script", ["setup.sh", "check.sh"])
@pytest.mark.parametrize("name", ["a b", "it's", "*", "a$b", "a;b", 'a"b', "a\\b"])
def test_a_folder_that_nothing_can_be_built_in(space, script, name):
    """Said at once, not when configure fails; and the same for a tree with such a path."""
    build = os.path.dirname(os.path.abspath(SCRIPT))
    folder = os.path.join(space, "tree", name)
    for env, path in (({"H3_CACHE": folder}, build),
                      ({}, os.path.join(folder, "build"))):
        if not os.path.isdir(path):
            shutil.copytree(build, path, ignore=shutil.ignore_patterns("cache"))
        done = subprocess.run(["sh", os.path.join(path, script)], env={**os.environ, **env},
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=30, check=False)
        assert done.returncode == 1 and "has a " in done.stdout and "move it" in done.stdout
        assert not os.path.exists(os.path.join(folder, "log"))
        shutil.rmtree(os.path.join(space, "tree"), ignore_errors=True)
