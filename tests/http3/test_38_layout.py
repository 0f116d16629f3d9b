# SPDX-License-Identifier: Apache-2.0
"""The layout of the sources: the style check holds them to the list of floors, build/layers. In a
copy of the tree each rule is broken once, and style.sh has to say where and which."""
import os
import re
import shutil
import subprocess

import pytest

ROOT = os.path.join(os.path.dirname(__file__), "..", "..")
MAP = "docs/architecture.md"


class Tree:
    """A copy of the sources that can be broken, and mended again."""

    def __init__(self, root):
        self.root = root
        self.before = {}

    def path(self, name):
        return os.path.join(self.root, name)

    def read(self, name):
        with open(self.path(name)) as file:
            return file.read()

    def write(self, name, text):
        self.before.setdefault(
            name, self.read(name) if os.path.exists(self.path(name)) else None)
        with open(self.path(name), "w") as file:
            file.write(text)

    def append(self, name, text):
        """The number of the line where `text` begins."""
        old = self.read(name)
        self.write(name, old + text + "\n")
        return old.count("\n") + 1

    def replace(self, name, old, new):
        text = self.read(name)
        assert old in text
        self.write(name, text.replace(old, new, 1))
        return text[:text.index(old)].count("\n") + 1

    def add_unit(self, folder, name):
        """A line in the list. The number of it."""
        return self.replace("build/layers", self.first_unit(folder),
                            "    unit     %s x\n%s" % (name, self.first_unit(folder)))

    def first_unit(self, folder):
        entry = re.search(r"^floor %s\n(.*?)(?=^floor|\Z)" % folder, self.read("build/layers"),
                          re.M | re.S).group(1)
        return re.search(r"^    unit .*", entry, re.M).group(0)

    def mend(self):
        for name, text in self.before.items():
            if text is None:
                os.remove(self.path(name))
            else:
                with open(self.path(name), "w") as file:
                    file.write(text)
        self.before = {}

    def run(self, *command):
        done = subprocess.run(command, cwd=self.root, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, universal_newlines=True)
        return done.returncode, done.stdout

    def style(self, *arguments):
        return self.run("sh", "build/style.sh", *arguments)

    def includes(self, *arguments):
        code, output = self.run("sh", "build/includes.sh", *arguments)
        assert code == 0, output
        return output


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    root = str(tmp_path_factory.mktemp("layout") / "tree")
    shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns(
        ".git", "__pycache__", "cache", "autotools", "autom4te.cache"))
    yield Tree(root)
    shutil.rmtree(root)


@pytest.fixture
def tree(copy):
    yield copy
    copy.mend()


# What breaks a rule returns what style.sh has to say, as a regular expression.

def lines(name, text, what, offset=0):
    """Breaks it by lines at the end of a file."""
    return lambda tree: "%s:%d: %s" % (name, tree.append(name, text) + offset, what)


def include(name, header, what):
    return lines(name, "#include " + header, what)


def not_listed(tree):
    tree.write("mod_http3/border/h3_new.h", "/* SPDX-License-Identifier: Apache-2.0 */\n")
    return "mod_http3/border/h3_new.h:1: h3_new is not among the units of mod_http3/border/"


def in_the_wrong_folder(tree):
    text = tree.read("mod_http3/border/h3_cond.h")
    tree.write("mod_http3/quic/h3_cond.h", text)
    return "mod_http3/quic/h3_cond.h:1: h3_cond is not among the units of mod_http3/quic/"


def not_there(tree):
    line = tree.add_unit("mod_http3/border", "h3_gone")
    return "build/layers:%d: h3_gone: there is no such file in mod_http3/border/" % line


def listed_twice(tree):
    line = tree.add_unit("mod_http3/border", "h3_cond")
    return "build/layers:(%d|[0-9]+): h3_cond is there twice" % line


def in_no_makefile(tree):
    tree.add_unit("mod_http3/border", "h3_new")
    tree.write("mod_http3/border/h3_new.c", "/* SPDX-License-Identifier: Apache-2.0 */\n")
    return "mod_http3/border/h3_new.c:1: not in mod_http3/Makefile.am"


def sees_above(tree):
    old = re.search(r"^floor mod_http3/quic\n(?:    .*\n)*?(    sees .*)\n",
                    tree.read("build/layers"), re.M).group(1)
    line = tree.replace("build/layers", old, old + " mod_http3/h3")
    return "build/layers:%d: mod_http3/h3 is no floor below mod_http3/quic/" % line


def two_units(tree, left, right):
    """Two new ones, with these texts of their .c and .h."""
    for name, text in (("h3_left", left), ("h3_right", right)):
        tree.add_unit("mod_http3/border", name)
        for ending, more in zip((".c", ".h"), text):
            tree.write("mod_http3/border/" + name + ending,
                       "/* SPDX-License-Identifier: Apache-2.0 */\n" + more + "\n")
    return "mod_http3/border/h3_(left|right)[.][ch]:2: these include each other in a circle: " \
        "mod_http3/border/h3_(left, mod_http3/border/h3_right|right, mod_http3/border/h3_left)$"


def circle_of_headers(tree):
    return two_units(tree, ("", '#include "border/h3_right.h"'),
                     ("", '#include "border/h3_left.h"'))


def circle_of_units(tree):
    return two_units(tree, ('#include "border/h3_right.h"', ""),
                     ('#include "border/h3_left.h"', ""))


def too_long(tree):
    name = "mod_http3/quic/quic_bucket.c"
    line = tree.append(name, "static void long_one(void)\n{\n%s}" % ("    ;\n" * 78))
    return r"%s:%d: long_one\(\) has 81 lines, at most 80" % (name, line)


def without_its_prefix(tree):
    tree.append("mod_http3/quic/quic_bucket.h", "void quic_pail(void);")
    name = "mod_http3/quic/quic_bucket.c"
    line = tree.append(name, "void quic_pail(void)\n{\n}")
    return r"%s:%d: quic_pail\(\) does not begin with its file's name, quic_bucket" % (name, line)


def without_licence(tree):
    tree.write("tests/new.sh", "#!/bin/sh\n:\n")
    return "tests/new.sh:1: no SPDX line"


def number_twice(tree):
    """Over both modules. The second place is said, with the first."""
    number = re.search(r"APLOGNO\(\d+\)", tree.read("mod_http3/conf/h3_hosts.c")).group(0)
    line = tree.append("mod_altsvc/mod_altsvc.c", "static const char *s = %s;" % number)
    return r"mod_http3/conf/h3_hosts.c:\d+: %s is taken, by mod_altsvc/mod_altsvc.c:%d" % (
        re.escape(number), line)


LOG = """static void f(void)
{
    ap_log_error(APLOG_MARK, %s, 0, s,
                 "no number");
}"""

def not_in_the_map(tree):
    unit = tree.first_unit("mod_http3/border")
    tree.replace("build/layers", unit, unit + " and more")
    return r"docs/architecture.md:\d+: not as build/layers has it"


def another_thread_in_the_readme(tree):
    line = tree.replace("README.md", "| workers |", "| anybody |")
    return "README.md:%d: not as build/layers has it" % line


def needless_exception(tree):
    line = tree.replace("build/layers", "\nexternal ", "\nexcept type quic_bucket x\nexternal ")
    return "build/layers:%d: this exception is needed no more" % (line + 1)


BROKEN = {
    "up": include(
        "mod_http3/conf/h3_hosts.c", '"h3/h3_session.h"',
        "the include of mod_http3/h3/h3_session.h goes up, from mod_http3/conf/ to mod_http3/h3/"),
    "up_to_the_hooks": include(
        "mod_http3/h3/h3_child.c", '"mod_http3.h"', "the include of mod_http3/mod_http3.h goes up"),
    "quic_to_h3": include(
        "mod_http3/quic/quic_conn.h", '"border/h3_head.h"',
        "the include of mod_http3/border/h3_head.h: build/layers does not allow"),
    "h3_to_tls": include(
        "mod_http3/h3/h3_child.c", '"tls/quic_tls.h"',
        "the include of mod_http3/tls/quic_tls.h: build/layers does not allow"),
    "workers_to_quic": include(
        "mod_http3/httpd/h3_c2.c", '"quic/quic_conn.h"',
        "the include of mod_http3/quic/quic_conn.h: build/layers does not allow"),
    "altsvc_into_mod_http3": include(
        "mod_altsvc/altsvc_config.c", '"conf/h3_config.h"',
        "the include of mod_http3/conf/h3_config.h: build/layers does not allow"),
    "without_folder": include(
        "mod_http3/quic/quic_conn.c", '"quic_conn.h"',
        "the include of mod_http3/quic/quic_conn.h has to name the folder"),
    "nobodys_header": include(
        "mod_http3/quic/quic_conn.c", '"quic/quic_nothing.h"',
        '"quic/quic_nothing.h" is neither a file of ours nor a header'),
    "apr_in_quotes": include(
        "mod_http3/border/h3_cond.c", '"apr_time.h"', '"apr_time.h" is neither'),
    "border_to_httpd": include(
        "mod_http3/border/h3_cond.h", '"httpd.h"',
        r'"httpd.h" \(httpd\): build/layers does not allow'),
    "border_to_ngtcp2": include(
        "mod_http3/border/h3_cond.h", "<ngtcp2/ngtcp2.h>", r"<ngtcp2/ngtcp2.h> \(ngtcp2\)"),
    "httpd_in_quic": include(
        "mod_http3/quic/quic_conn.c", '"http_config.h"', r'"http_config.h" \(httpd\)'),
    "ngtcp2_in_conf": include(
        "mod_http3/conf/h3_config.h", "<ngtcp2/ngtcp2.h>", r"<ngtcp2/ngtcp2.h> \(ngtcp2\)"),
    "boringssl_in_conf": include(
        "mod_http3/conf/h3_ssl_plan.c", "<openssl/ssl.h>", r"<openssl/ssl.h> \(BoringSSL\)"),
    "boringssl_in_quic": include(
        "mod_http3/quic/quic_cid.c", "<openssl/rand.h>", r"<openssl/rand.h> \(BoringSSL\)"),
    "nghttp3_in_quic": include(
        "mod_http3/quic/quic_conn.c", "<nghttp3/nghttp3.h>", r"<nghttp3/nghttp3.h> \(nghttp3\)"),
    "nghttp3_named": lines(
        "mod_http3/httpd/h3_c2.c", "static int x = NGHTTP3_H3_NO_ERROR;", "NGHTTP3_H3_NO_ERROR"),
    "nghttp3_called": lines(
        "mod_http3/quic/quic_conn.c", "static void f(void)\n{\n    nghttp3_conn_del(0);\n}",
        r"nghttp3_conn_del \(nghttp3\): build/layers does not allow", 2),
    "boringssl_named": lines(
        "mod_http3/conf/h3_ssl_plan.h", "struct x { SSL_CTX *ctx; };", r"SSL_CTX \(BoringSSL\)"),
    "ngtcp2_named": lines(
        "mod_http3/httpd/h3_c2.c", "typedef ngtcp2_cid x;", r"ngtcp2_cid \(ngtcp2\)"),
    "apr_atomics": include("mod_altsvc/mod_altsvc.c", "<apr_atomic.h>", "<apr_atomic.h>"),
    "not_listed": not_listed,
    "wrong_folder": in_the_wrong_folder,
    "not_there": not_there,
    "listed_twice": listed_twice,
    "no_makefile": in_no_makefile,
    "needless_exception": needless_exception,
    "map": not_in_the_map,
    "readme": another_thread_in_the_readme,
    "list_sees_above": sees_above,
    "circle_of_headers": circle_of_headers,
    "circle_of_units": circle_of_units,
    "too_long": too_long,
    "prefix": without_its_prefix,
    "anothers_type": lines(
        "mod_http3/quic/quic_bucket.h", "typedef struct quic_route {\n    int x;\n} quic_route;",
        "quic_route is called like another unit, and not there"),
    "neither_static_nor_declared": lines(
        "mod_http3/quic/quic_bucket.c", "int quic_bucket_x(void)\n{\n}",
        r"quic_bucket_x\(\) is neither static nor in quic_bucket.h"),
    "declared_beside_the_header": lines(
        "mod_http3/quic/quic_bucket.c", "int quic_conn_x(int a,\n                int b);",
        r"quic_conn_x\(\) is declared here"),
    "warning_without_number": lines(
        "mod_altsvc/mod_altsvc.c", LOG % "APLOG_WARNING",
        "a message of this level has its APLOGNO", 2),
    "startup_error_without_number": lines(
        "mod_http3/conf/h3_hosts.c", LOG % "APLOG_STARTUP | APLOG_ERR",
        "a message of this level has its APLOGNO", 2),
    "number_twice": number_twice,
    "licence": without_licence,
    "columns": lines("mod_http3/mod_http3.c", "/* %s */" % ("x" * 95), "101 columns, at most 100"),
    "tab": lines("build/style.sh", "\t:", "a tab"),
    "trailing_space": lines("build/style.sh", ": ", "space at the end of the line"),
}


@pytest.mark.parametrize("rule", sorted(BROKEN))
def test_a_broken_rule_is_found(tree, rule):
    wanted = BROKEN[rule](tree)
    status, output = tree.style("--no-layout")
    assert status == 1
    assert re.search("^" + wanted, output, re.M), output


def test_the_tree_keeps_the_rules(tree):
    status, output = tree.style("--no-layout")
    assert status == 0, output


@pytest.mark.skipif("version 14." not in subprocess.getoutput("clang-format --version"),
                    reason="the layout is that of clang-format 14")
def test_another_layout_is_found(tree):
    line = tree.append("mod_http3/quic/quic_bucket.c", "static  int x ;")
    status, output = tree.style()
    assert status == 1
    assert re.findall("^(.*): not laid out ", output, re.M) == [
        "mod_http3/quic/quic_bucket.c:%d" % line]


def test_no_arrow_goes_up_and_there_is_no_circle(tree):
    assert tree.includes().endswith("\n0 arrows up, 0 circles\n")
    assert tree.includes("--dot").endswith("\n// 0 arrows up, 0 circles\n")


def test_the_graph_shows_what_goes_up(tree):
    tree.append("mod_http3/conf/h3_config.h", '#include "mod_http3.h"')
    output = tree.includes()
    assert "\n    -> mod_http3/  1  UP\n" in output
    assert re.search("\n    h3_config: mod_http3( |\n)", output)
    assert output.endswith("\n1 arrow up, 1 circle\n")
    output = tree.includes("--dot")
    assert '"mod_http3/conf/h3_config" -> "mod_http3/mod_http3" [color=red];' in output


def test_the_map_names_each_unit(tree):
    page = tree.read(MAP)
    units = re.findall(r"^    unit +(\w+)", tree.read("build/layers"), re.M)
    assert len(units) > 50
    assert [unit for unit in units if "\n| `%s` | " % unit not in page] == []


def test_what_the_map_names_is_there(tree):
    """Units, functions, types, members."""
    names = [name for page in (MAP, "CONTRIBUTING.md")
             for name in re.findall(r"`((?:h3|quic|altsvc)_\w*[a-z0-9])[()]*`", tree.read(page))]
    sources = tree.read("build/layers") + "".join(
        tree.read(os.path.join(folder, name)) for folder, _, files in os.walk(tree.root)
        for name in files if re.search("/mod_(http3|altsvc)(/|$)", folder))
    known = set(re.findall(r"\w+", sources))
    assert len(names) > 50 and [name for name in names if name not in known] == []
