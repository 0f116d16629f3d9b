# SPDX-License-Identifier: Apache-2.0
"""httpd as a process: started, restarted, stopped, in whatever it is run."""
import contextlib
import ctypes
import os
import re
import signal
import subprocess
import time

from .installed import BINARY, HttpdError, run_mode
from .wait import bound, until

# What stock httpd does without us, each with its reason.
SUPPRESSIONS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "valgrind.supp")


def die_with_parent():
    """For preexec_fn: SIGTERM when the tests are killed."""
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGTERM)


class Process:
    """The httpd of one Configuration. It is the leader of a session; kill() ends all of that."""

    def __init__(self, conf):
        self.conf = conf
        self.env = dict(conf.settings.env)      # besides what the run mode wants; a test may add
        self._process = None

    # -- how it is run

    def command_line(self, *arguments):
        return [BINARY, "-d", self.conf.root, "-f", self.conf.conf_file, *arguments]

    def _environment(self):
        env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C"}
        if run_mode() in ("asan", "tsan"):
            preload = os.environ.get("H3TEST_PRELOAD")
            if not preload:
                raise HttpdError("H3TEST_RUN=%s needs H3TEST_PRELOAD, the sanitizer's runtime"
                                 % run_mode())
            env["LD_PRELOAD"] = preload
            # httpd and APR are as they are: what they do among themselves is not looked at. A
            # worker that is stuck at the end of its child is left behind on purpose.
            env["TSAN_OPTIONS"] = "ignore_noninstrumented_modules=1:report_thread_leaks=0:" \
                "report_signal_unsafe=0:log_path=%s/tsan" % self.conf.reports
            # httpd's own pools live until exit and are no leak; what the module leaks while it
            # runs is found by the memory tests.
            env["ASAN_OPTIONS"] = "detect_leaks=0:abort_on_error=1:disable_coredump=1:" \
                "handle_abort=1:log_path=%s/asan" % self.conf.reports
            env["UBSAN_OPTIONS"] = "print_stacktrace=1:halt_on_error=1:log_path=%s/asan" \
                % self.conf.reports
        env.update(self.env)
        return env

    def _wrapper(self):
        descriptors = self.conf.settings.descriptors
        limit = ["prlimit", "--nofile=%d" % descriptors] if descriptors else []
        if run_mode() != "valgrind":
            return limit
        return limit + ["valgrind", "--quiet", "--leak-check=no", "--error-exitcode=0",
                        "--suppressions=%s" % SUPPRESSIONS,
                        "--log-file=%s/valgrind.%%p" % self.conf.reports]

    @property
    def measurable(self):
        """Whether its memory is httpd's own: nothing runs around it, nothing is loaded into it."""
        return not self._wrapper() and "LD_PRELOAD" not in self._environment()

    def command(self, *arguments, timeout=60):
        """Runs the binary with these arguments on the written configuration; (code, output)."""
        done = subprocess.run(self.command_line(*arguments), env=self._environment(),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=bound(timeout), check=False)
        return done.returncode, done.stdout.decode("utf-8", "replace")

    def configtest(self, *arguments):
        """Writes the configuration and tests it; (code, output)."""
        self.conf.write()
        return self.command("-t", *arguments)

    # -- its life

    @property
    def parent(self):
        """The pid of the parent."""
        with open(self.conf.pid_file) as file:
            return int(file.read())

    def _starts(self):
        return len(re.findall("resuming normal operations", self._log()))

    def _log(self):
        return self.conf.read(self.conf.error_log)

    def _has_started(self, before):
        if self._process.poll() is not None:
            raise HttpdError("httpd ended with %s\n%s\n%s" % (
                self._process.returncode, self.conf.read(self.conf.console), self._log()[-4000:]))
        return self._starts() > before and os.path.exists(self.conf.pid_file)

    def spawn(self, *arguments):
        """Writes the configuration, runs the binary with these arguments and does not wait."""
        assert self._process is None, "it runs already"
        self.conf.write()
        with open(self.conf.console, "ab") as console:
            self._process = subprocess.Popen(
                self._wrapper() + self.command_line(*arguments), env=self._environment(),
                stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True,
                preexec_fn=die_with_parent)

    def start(self, *arguments):
        """Runs it in the foreground and waits until it serves; HttpdError where it does not."""
        before = self._starts()
        self.spawn("-DFOREGROUND", *arguments)
        try:
            until(lambda: self._has_started(before), 30, "httpd starts")
        except BaseException:
            self.kill()
            raise

    @contextlib.contextmanager
    def restarting(self, number=signal.SIGUSR1):
        """Sends the signal at once; after the block the restart is over."""
        before = self._starts()
        os.kill(self.parent, number)
        yield
        until(lambda: self._has_started(before), 30, "restart")

    def graceful(self):
        """As `apachectl graceful`: checks the configuration, then SIGUSR1."""
        self.conf.write()
        before = self._starts()
        code, output = self.command("-k", "graceful")
        if code != 0:
            raise HttpdError("graceful: %d\n%s" % (code, output))
        until(lambda: self._has_started(before), 30, "graceful restart")

    def restart(self):
        self.conf.write()
        with self.restarting(signal.SIGHUP):
            pass

    def graceful_stop(self):
        """Sends SIGWINCH and returns at once; wait_stopped() waits."""
        os.kill(self.parent, signal.SIGWINCH)

    def wait_stopped(self, timeout=30):
        try:
            self._process.wait(bound(timeout))
        except subprocess.TimeoutExpired as exc:
            raise AssertionError("httpd did not stop within %gs" % bound(timeout)) from exc
        self._process = None

    def stop(self, timeout=30):
        if self._process is None:
            return
        if self._process.poll() is None:
            # Without this mod_mpm_event crashes now and then: at its end a child looks at the
            # sockets of its threads, which a thread that has just served TCP is about to free.
            time.sleep(bound(0.05))
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(bound(timeout))
            except subprocess.TimeoutExpired:
                self.kill()
                raise
        self.kill()

    def kill(self):
        """Ends the whole session of this httpd; nothing of it stays behind."""
        if self._process is None:
            return
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass                    # all of them have ended already
        self._process.wait()
        self._process = None
