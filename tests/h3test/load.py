# SPDX-License-Identifier: Apache-2.0
"""h3load, the load and bulk client, in the foreground or beside a test; its report as a dict."""
import json
import signal
import subprocess
import tempfile

from .tools import h3load_path
from .wait import bound, until


class Load:
    """One running h3load. `paths` are asked for in turn; `connect`: another address to send to."""

    def __init__(self, httpd, *options, paths=("/small.txt",), host="h3.test", connect=None,
                 seconds=60, wrapper=()):
        urls = ["https://%s:%d%s" % (host, httpd.port, path) for path in paths]
        self.command = [*wrapper, h3load_path(), "--json", "--cacert", httpd.ca.file, "--timeout",
                        "%g" % bound(seconds), "--connect",
                        connect or "127.0.0.1:%d" % httpd.port, *map(str, options), *urls]
        self._seconds = seconds
        self._out, self._err = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        self._process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=self._out,
                                         stderr=self._err)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self._out.close()
        self._err.close()

    @property
    def running(self):
        return self._process.poll() is None

    def _text(self, file):
        file.seek(0)
        return file.read().decode("utf-8", "replace")

    @property
    def said(self):
        """What it has complained about so far."""
        return self._text(self._err)

    def wait_idle(self, timeout=30):
        """Until all connections are there and all requests are done (--idle)."""
        until(lambda: "h3load: idle:" in self.said or not self.running, timeout, "h3load is idle")
        assert self.running, self.said

    def interrupt(self):
        """Asks it to give up; finish() then says what it had done."""
        self._process.send_signal(signal.SIGINT)

    def kill(self):
        if self.running:
            self._process.kill()
        self._process.wait()

    def finish(self, check=True):
        """The report. check: something that was asked for and was not done is an error."""
        self._process.wait(bound(self._seconds) + 10)
        text = self._text(self._out)
        assert not check or self._process.returncode == 0, "%s: %d\n%s\n%s" % (
            " ".join(self.command), self._process.returncode, self.said, text)
        assert self._process.returncode in (0, 1), self.said
        return json.loads(text)


def load(httpd, *options, check=True, **keywords):
    """Runs h3load to its end; its report."""
    with Load(httpd, *options, **keywords) as running:
        return running.finish(check)
