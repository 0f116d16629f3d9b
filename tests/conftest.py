# SPDX-License-Identifier: Apache-2.0
"""Fixtures that every test folder shares. A test module shares one httpd where it can."""
import os
import shutil
import tempfile

import pytest

from h3test.backend import Backend
from h3test.certs import Authority
from h3test.httpd import Httpd


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """With H3TEST_SKIPS=fail a skipped test has failed: for a machine that can run all of them."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("H3TEST_SKIPS") == "fail":
        report.outcome = "failed"
        report.longrepr = "%s: skipped, but H3TEST_SKIPS=fail: %s" % (
            item.nodeid, report.longrepr[2])


@pytest.fixture(scope="session")
def ca():
    folder = tempfile.mkdtemp(prefix="h3test-ca-", dir=os.environ.get("H3TEST_TMP", "/var/tmp"))
    os.chmod(folder, 0o755)
    yield Authority(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def artefacts():
    """The folder for what a run leaves to be looked at, by H3TEST_ARTEFACTS."""
    folder = os.environ.get("H3TEST_ARTEFACTS") or os.path.join(
        tempfile.gettempdir(), "h3test-artefacts")
    os.makedirs(folder, exist_ok=True)
    return folder


def _servers(ca):
    """Makes servers; stops them at the end, and fails if one of them crashed."""
    made = []

    def make(**options):
        httpd = Httpd(ca, **options)
        made.append(httpd)
        return httpd

    yield make
    trouble, failed = [], []
    for httpd in made:
        try:
            httpd.stop()
        except Exception as exc:    # the others must be stopped all the same; reported below
            failed.append("%s: %r" % (httpd.root, exc))
            httpd.process.kill()
        said = httpd.trouble()
        trouble += ["%s: %s" % (httpd.root, line) for line in said]
        if not said and not failed:
            httpd.conf.remove()
    assert not failed, "did not stop: %s" % failed
    assert not trouble, "\n".join(trouble)[:20000]


@pytest.fixture(scope="module")
def make_httpd(ca):
    """Servers for a whole test module."""
    yield from _servers(ca)


@pytest.fixture
def fresh_httpd(ca):
    """Servers for one test."""
    yield from _servers(ca)


@pytest.fixture(scope="module")
def backend():
    server = Backend()
    yield server
    server.stop()
