# SPDX-License-Identifier: Apache-2.0
"""Headless Chromium, driven over the DevTools protocol."""
import base64
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

from websockets.sync.client import connect

from .wait import bound, until

BINARY = os.environ.get("CHROMIUM", "chromium")


def available():
    return shutil.which(BINARY) is not None


class Browser:
    """One Chromium with a profile of its own. `hosts` maps names to 127.0.0.1; all others do not
    resolve. Trust comes by the certificates' SPKI hashes; Chromium's QUIC refuses roots that are
    not built in unless the host is on --origin-to-force-quic-on, for which a port that nobody
    uses keeps discovery natural."""

    def __init__(self, pairs, hosts=("h3.test",), quic=True, force_port=None):
        self.profile = tempfile.mkdtemp(prefix="h3test-chromium-")
        rules = ", ".join("MAP %s 127.0.0.1" % h for h in hosts) + ", MAP * ~NOTFOUND"
        command = [
            BINARY, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-dev-shm-usage", "--user-data-dir=" + self.profile,
            "--remote-debugging-port=0", "--remote-allow-origins=*",
            "--host-resolver-rules=" + rules,
            "--ignore-certificate-errors-spki-list=" + ",".join(p.spki_hash for p in pairs)]
        if quic:
            command.append("--origin-to-force-quic-on=" + ",".join(
                "%s:%d" % (h, force_port or 1) for h in hosts))
        else:
            command.append("--disable-quic")
        self._log = open(os.path.join(self.profile, "console"), "wb")
        self._process = subprocess.Popen(command + ["about:blank"], stdin=subprocess.DEVNULL,
                                         stdout=self._log, stderr=self._log,
                                         start_new_session=True)
        self._socket, self._last, self.events = None, 0, []
        try:
            self._attach()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self._socket is not None:
            self._socket.close()
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass                    # it has ended by itself
        self._process.wait()
        self._log.close()
        shutil.rmtree(self.profile, ignore_errors=True)

    def _port_file(self):
        if self._process.poll() is not None:
            with open(self._log.name, errors="replace") as log:
                raise AssertionError("Chromium ended:\n" + log.read()[-3000:])
        path = os.path.join(self.profile, "DevToolsActivePort")
        if not os.path.exists(path):
            return None
        with open(path) as file:
            lines = file.read().split()
        return lines if len(lines) == 2 else None

    def _attach(self):
        port, path = until(self._port_file, 40, "Chromium listens")
        self._socket = connect("ws://127.0.0.1:%s%s" % (port, path), max_size=None,
                               open_timeout=bound(40))
        # It listens before it has opened its page.
        target = until(self._pages, 40, "Chromium has a page")[0]
        self._session = self.call("Target.attachToTarget", targetId=target["targetId"],
                                  flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime"):
            self.page(domain + ".enable")

    def _pages(self):
        return [t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page"]

    def _receive(self, timeout):
        message = json.loads(self._socket.recv(timeout=timeout))
        if "method" in message:
            self.events.append(message)
        return message

    def call(self, method, session=None, timeout=30, **params):
        self._last += 1
        number = self._last
        message = {"id": number, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        self._socket.send(json.dumps(message))
        deadline = time.monotonic() + bound(timeout)
        while True:
            answer = self._receive(max(0.1, deadline - time.monotonic()))
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]

    def page(self, method, **params):
        return self.call(method, self._session, **params)

    def evaluate(self, script, timeout=30):
        """The value of a JavaScript expression, awaited if it is a promise."""
        result = self.page("Runtime.evaluate", expression=script, awaitPromise=True,
                           returnByValue=True, timeout=timeout)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def _loaded(self, timeout):
        deadline = time.monotonic() + bound(timeout)
        while not any(e["method"] == "Page.loadEventFired" for e in self.events):
            self._receive(max(0.1, deadline - time.monotonic()))

    def navigate(self, url, timeout=30):
        """Loads the page to its end; the protocol by which the document came."""
        self.events.clear()
        result = self.page("Page.navigate", url=url)
        assert not result.get("errorText"), (url, result)
        self._loaded(timeout)
        return self.document_protocol()

    def reload(self, timeout=30):
        self.events.clear()
        self.page("Page.reload", ignoreCache=True)
        self._loaded(timeout)
        return self.document_protocol()

    def document_protocol(self):
        return self.evaluate("performance.getEntriesByType('navigation')[0].nextHopProtocol")

    def resource_protocols(self):
        """{URL: protocol} of everything that the document loaded."""
        return dict(self.evaluate("performance.getEntriesByType('resource')"
                                  ".map(e => [e.name, e.nextHopProtocol])"))

    def fetch(self, url, timeout=30):
        """(status, text) of a fetch() by the page."""
        return tuple(self.evaluate(
            "fetch(%s).then(async r => [r.status, await r.text()])" % json.dumps(url), timeout))

    def screenshot(self, path):
        data = self.page("Page.captureScreenshot", format="png")["data"]
        with open(path, "wb") as out:
            out.write(base64.b64decode(data))
