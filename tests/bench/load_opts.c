/* SPDX-License-Identifier: Apache-2.0 */
#include "load_opts.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

typedef enum { OPT_FLAG, OPT_INT, OPT_REAL, OPT_TEXT, OPT_HEADER, OPT_LOCAL, OPT_FAMILY } opt_kind;

typedef struct opt_row {
    const char *name;
    char letter;
    opt_kind kind;
    size_t offset;
    double min, max; /* of numbers; FAMILY: min is the family */
    const char *arg;
    const char *help;
} opt_row;

#define AT(member) offsetof(load_opts, member)
#define BIG 9e18

static const opt_row rows[] = {
    { "connect", 0, OPT_TEXT, AT(connect), 0, 0, "ADDR:PORT",
      "connect there instead of to the URL's host" },
    { "sni", 0, OPT_TEXT, AT(sni), 0, 0, "NAME", "server name; default: the first URL's host" },
    { "cacert", 0, OPT_TEXT, AT(cacert), 0, 0, "FILE",
      "verify chain and name against these roots" },
    { "insecure", 'k', OPT_FLAG, AT(insecure), 0, 0, NULL, "verify nothing" },
    { "ipv4", '4', OPT_FAMILY, AT(family), AF_INET, 0, NULL, "IPv4 only" },
    { "ipv6", '6', OPT_FAMILY, AT(family), AF_INET6, 0, NULL, "IPv6 only" },
    { "local", 0, OPT_LOCAL, 0, 0, 0, "ADDR", "local address, repeatable: connections take turns" },
    { "source-port", 0, OPT_INT, AT(source_port), 1, 65535, "PORT", "local UDP port (-c 1)" },
    { "session-file", 0, OPT_TEXT, AT(session_file), 0, 0, "FILE",
      "resume the session in it, keep new ones there" },
    { "connections", 'c', OPT_INT, AT(conns), 1, 1e6, "N", "connections at once (1)" },
    { "streams", 'm', OPT_INT, AT(streams), 1, 1e6, "N", "requests at once per connection (1)" },
    { "connecting", 0, OPT_INT, AT(connecting), 1, 1e6, "N", "handshakes at once (100)" },
    { "requests", 'n', OPT_INT, AT(requests), 0, 1e15, "N",
      "requests, or handshakes, in all (1 per connection)" },
    { "time", 't', OPT_REAL, AT(seconds), 0.01, 86400, "S", "begin requests for S seconds" },
    { "timeout", 0, OPT_REAL, AT(timeout), 0.01, 86400, "S",
      "all must be over after S seconds (300)" },
    { "handshakes-only", 0, OPT_FLAG, AT(handshakes_only), 0, 0, NULL,
      "connect, wait for confirmation, close; -n times" },
    { "idle", 0, OPT_REAL, AT(idle), 0, 86400, "S",
      "keep the connections S seconds after the last request" },
    { "keep-alive", 0, OPT_REAL, AT(keep_alive), 0.01, 86400, "S",
      "PING after S seconds of silence" },
    { "method", 0, OPT_TEXT, AT(method), 0, 0, "M", "request method (GET; POST with a body)" },
    { "upload-method", 0, OPT_TEXT, AT(method), 0, 0, "M", "the same" },
    { "header", 'H', OPT_HEADER, 0, 0, 0, "'N: V'",
      "request field; ':authority: x' replaces a pseudo field" },
    { "upload", 0, OPT_TEXT, AT(upload_file), 0, 0, "FILE", "request body" },
    { "upload-size", 0, OPT_INT, AT(upload_size), 0, BIG, "N",
      "request body of N bytes, byte i is (7 * i + i / 256) mod 256" },
    { "rate-limit", 0, OPT_INT, AT(rate_limit), 1, BIG, "N",
      "read each response at N bytes/s by withholding credit" },
    { "window", 0, OPT_INT, AT(window), 1024, BIG, "N",
      "receive window per stream (16m; with a rate limit 64k)" },
    { "conn-window", 0, OPT_INT, AT(conn_window), 1024, BIG, "N", "receive window per connection" },
    { "rebind", 0, OPT_INT, AT(rebind), 1, 1e12, "N",
      "new local port after every N datagrams sent, as a NAT does" },
    { "loss", 0, OPT_REAL, AT(loss), 0, 1, "P",
      "drop datagrams of both directions with probability P" },
    { "seed", 0, OPT_INT, AT(seed), 1, 4e9, "N", "of the losses (1)" },
    { "verify", 0, OPT_INT, AT(verify), 100, 599, "STATUS",
      "the status that counts as success (any below 400)" },
    { "retry-goaway", 0, OPT_FLAG, AT(retry_goaway), 0, 0, NULL,
      "repeat what GOAWAY or H3_REQUEST_REJECTED turned away" },
    { "sha256", 0, OPT_FLAG, AT(sha256), 0, 0, NULL, "print the SHA-256 of each body" },
    { "out", 0, OPT_TEXT, AT(out), 0, 0, "FILE",
      "write the body there; after the first request to FILE.1, FILE.2 ..." },
    { "json", 0, OPT_FLAG, AT(json), 0, 0, NULL, "report as JSON" },
    { "verbose", 'v', OPT_FLAG, AT(verbose), 0, 0, NULL,
      "response heads on stderr; twice: every packet too" },
    { "help", 'h', OPT_FLAG, 0, 0, 0, NULL, "this text" },
};

#define NROWS (sizeof(rows) / sizeof(rows[0]))
#define LONG_BASE 256
#define UPLOAD_BLOCK 65536

static int usage_error(const char *what, const char *arg);
static void usage(void);
static int parse_line(load_opts *o, int argc, char **argv);
static int set_row(load_opts *o, const opt_row *row, const char *arg);
static int parse_int(int64_t *value, const opt_row *row, const char *arg);
static int parse_url(load_url *u, const char *text);
static int resolve(quic_addr *a, const char *host, const char *port, int family, int flags);
static int resolve_remote(load_opts *o);
static int check(load_opts *o);
static int open_upload(load_opts *o);
static int build_head(const load_opts *o, load_url *u);

int load_opts_parse(load_opts *o, int argc, char **argv)
{
    int i, rv;

    memset(o, 0, sizeof(*o));
    o->conns = o->streams = 1;
    o->connecting = 100;
    o->requests = o->upload_size = -1;
    o->idle = -1;
    o->timeout = 300;
    o->seed = 1;
    rv = parse_line(o, argc, argv);
    if (rv) {
        return rv;
    }
    o->nurls = argc - optind;
    if (o->nurls == 0) {
        return usage_error("no URL", "");
    }
    o->url = calloc((size_t)o->nurls, sizeof(*o->url));
    if (!o->url) {
        return usage_error("out of memory", "");
    }
    for (i = 0; i < o->nurls; ++i) {
        if (parse_url(&o->url[i], argv[optind + i])) {
            return -1;
        }
    }
    if (check(o) || open_upload(o) || resolve_remote(o)) {
        return -1;
    }
    for (i = 0; i < o->nurls; ++i) {
        if (build_head(o, &o->url[i])) {
            return -1;
        }
    }
    return 0;
}

static int usage_error(const char *what, const char *arg)
{
    fprintf(stderr, "h3load: %s %s (h3load --help lists the options)\n", what, arg);
    return -1;
}

static void usage(void)
{
    size_t i;

    printf("usage: h3load [options] https://host[:port]/path ...\n"
           "Every connection takes the URLs in turn. Exit code 0: all requests succeeded.\n"
           "Numbers may end in k, m or g (1024 based).\n\n");
    for (i = 0; i < NROWS; ++i) {
        char left[64];

        snprintf(left, sizeof(left), "%c%c --%s %s", rows[i].letter ? '-' : ' ',
                 rows[i].letter ? rows[i].letter : ' ', rows[i].name,
                 rows[i].arg ? rows[i].arg : "");
        printf("  %-28s %s\n", left, rows[i].help);
    }
}

static int parse_line(load_opts *o, int argc, char **argv)
{
    struct option longs[NROWS + 1];
    char shorts[2 * NROWS + 1];
    size_t i, n = 0;
    int c;

    memset(longs, 0, sizeof(longs));
    for (i = 0; i < NROWS; ++i) {
        longs[i].name = rows[i].name;
        longs[i].has_arg = rows[i].arg ? required_argument : no_argument;
        longs[i].val = LONG_BASE + (int)i;
        if (rows[i].letter) {
            shorts[n++] = rows[i].letter;
            if (rows[i].arg) {
                shorts[n++] = ':';
            }
        }
    }
    shorts[n] = '\0';
    while ((c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        if (c == '?') {
            return -1;
        }
        i = (size_t)(c - LONG_BASE);
        if (c < LONG_BASE) {
            for (i = 0; rows[i].letter != c; ++i) {}
        }
        if (rows[i].letter == 'h') {
            usage();
            return 1;
        }
        if (set_row(o, &rows[i], optarg)) {
            return -1;
        }
    }
    return 0;
}

static int set_row(load_opts *o, const opt_row *row, const char *arg)
{
    char *at = (char *)o + row->offset, *end;

    switch (row->kind) {
    case OPT_FLAG:
        ++*(int *)at;
        return 0;
    case OPT_INT:
        return parse_int((int64_t *)at, row, arg);
    case OPT_REAL:
        *(double *)at = strtod(arg, &end);
        if (end == arg || *end || !(*(double *)at >= row->min && *(double *)at <= row->max)) {
            return usage_error("a bad value for", row->name);
        }
        return 0;
    case OPT_TEXT:
        *(const char **)at = arg;
        return 0;
    case OPT_FAMILY:
        *(int *)at = (int)row->min;
        return 0;
    case OPT_HEADER:
        if (o->nheaders == LOAD_HEADERS_MAX || !strchr(arg + 1, ':')) {
            return usage_error("a bad or one header too many:", arg);
        }
        o->header[o->nheaders++] = arg;
        return 0;
    case OPT_LOCAL:
        if (o->nlocals == LOAD_LOCALS_MAX) {
            return usage_error("too many local addresses:", arg);
        }
        return resolve(&o->local[o->nlocals++], arg, "0", AF_UNSPEC, AI_NUMERICHOST);
    }
    return -1;
}

static int parse_int(int64_t *value, const opt_row *row, const char *arg)
{
    static const char suffix[] = "kmg";
    const char *p;
    char *end;
    double unit = 1;
    long long n;

    errno = 0;
    n = strtoll(arg, &end, 10);
    if (end != arg && *end && (p = strchr(suffix, tolower((unsigned char)*end))) != NULL) {
        unit = (double)(1ll << (10 * (p - suffix + 1)));
        ++end;
    }
    if (end == arg || *end || errno || (double)n * unit < row->min || (double)n * unit > row->max) {
        return usage_error("a bad value for", row->name);
    }
    *value = n * (int64_t)unit;
    return 0;
}

/* "host", "host:port", "[v6]:port" -> host and port in memory of their own. */
static int split_authority(const char *authority, const char **host, const char **port)
{
    char *copy = strdup(authority), *colon;

    if (!copy) {
        return usage_error("out of memory", "");
    }
    *host = copy;
    *port = "443";
    colon = strrchr(copy, ':');
    if (*copy == '[') {
        char *close = strchr(copy, ']');

        if (!close || (close[1] && close[1] != ':')) {
            return usage_error("no address and port:", authority);
        }
        colon = close[1] ? close + 1 : NULL;
        *close = '\0';
        *host = copy + 1;
    }
    if (colon) {
        *colon = '\0';
        *port = colon + 1;
    }
    return **host && **port ? 0 : usage_error("no address and port:", authority);
}

static int parse_url(load_url *u, const char *text)
{
    static const char scheme[] = "https://";
    const char *authority, *slash;

    if (strncmp(text, scheme, sizeof(scheme) - 1)) {
        return usage_error("not an https URL:", text);
    }
    authority = text + sizeof(scheme) - 1;
    slash = strchr(authority, '/');
    u->text = text;
    u->path = slash ? slash : "/";
    u->authority = slash ? strndup(authority, (size_t)(slash - authority)) : authority;
    if (!u->authority) {
        return usage_error("out of memory", "");
    }
    return split_authority(u->authority, &u->host, &u->port);
}

static int resolve(quic_addr *a, const char *host, const char *port, int family, int flags)
{
    struct addrinfo hints, *found;
    int rv;

    memset(&hints, 0, sizeof(hints));
    hints.ai_family = family;
    hints.ai_socktype = SOCK_DGRAM;
    hints.ai_flags = flags | AI_NUMERICSERV;
    rv = getaddrinfo(host, port, &hints, &found);
    if (rv) {
        return usage_error(gai_strerror(rv), host);
    }
    memset(a, 0, sizeof(*a));
    memcpy(a, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return 0;
}

static int resolve_remote(load_opts *o)
{
    o->peer_host = o->url[0].host;
    o->peer_port = o->url[0].port;
    if (o->connect && split_authority(o->connect, &o->peer_host, &o->peer_port)) {
        return -1;
    }
    return resolve(&o->remote, o->peer_host, o->peer_port, o->family, 0);
}

static int check(load_opts *o)
{
    if (!o->sni) {
        o->sni = o->url[0].host;
    }
    if (!o->cacert == !o->insecure) {
        return usage_error("exactly one of --cacert and -k is needed", "");
    }
    if (o->requests < 0 && o->seconds == 0) {
        o->requests = o->idle >= 0 ? 0 : o->conns;
    }
    if (o->handshakes_only && o->requests < 0) {
        return usage_error("--handshakes-only needs -n", "");
    }
    if (o->upload_file && o->upload_size >= 0) {
        return usage_error("--upload or --upload-size, not both", "");
    }
    if (o->source_port && (o->conns > 1 || o->rebind)) {
        return usage_error("--source-port is for one connection without --rebind", "");
    }
    if (!o->window) {
        /* Larger than what is given back at once (a fiftieth of a second's worth). */
        o->window = !o->rate_limit ? 16 << 20 : o->rate_limit > 524288 ? o->rate_limit / 8 : 65536;
    }
    if (!o->conn_window) {
        o->conn_window = o->streams < 64 ? 2 * o->window * o->streams : 128 * o->window;
    }
    if (!o->method) {
        o->method = o->upload_file || o->upload_size >= 0 ? "POST" : "GET";
    }
    return 0;
}

static int open_upload(load_opts *o)
{
    struct stat st;
    uint8_t *block;
    void *map;
    size_t i;
    int fd;

    if (!o->upload_file) {
        block = malloc(UPLOAD_BLOCK);
        if (!block) {
            return usage_error("out of memory", "");
        }
        for (i = 0; i < UPLOAD_BLOCK; ++i) {
            block[i] = (uint8_t)(7 * i + i / 256);
        }
        o->upload_data = block;
        o->upload_data_len = UPLOAD_BLOCK;
        return 0;
    }
    fd = open(o->upload_file, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st)) {
        return usage_error(strerror(errno), o->upload_file);
    }
    o->upload_size = st.st_size;
    o->upload_data_len = (size_t)st.st_size;
    if (st.st_size) {
        map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (map == MAP_FAILED) {
            return usage_error(strerror(errno), o->upload_file);
        }
        o->upload_data = map;
    }
    close(fd);
    return 0;
}

static void set_field(nghttp3_nv *nv, const char *name, size_t namelen, const char *value)
{
    memset(nv, 0, sizeof(*nv));
    nv->name = (const uint8_t *)name;
    nv->namelen = namelen;
    nv->value = (const uint8_t *)value;
    nv->valuelen = strlen(value);
}

/* A pseudo field of that name is replaced, any other appended: fields may repeat. */
static int add_header(load_url *u, const char *header)
{
    size_t i, namelen = strcspn(header + 1, ":") + 1;
    const char *value = header + namelen + 1;
    char *name = strndup(header, namelen);

    if (!name) {
        return usage_error("out of memory", "");
    }
    for (i = 0; i < namelen; ++i) {
        name[i] = (char)tolower((unsigned char)name[i]);
    }
    value += strspn(value, " \t");
    for (i = 0; *name == ':' && i < u->nfields; ++i) {
        if (u->field[i].namelen == namelen && !memcmp(u->field[i].name, name, namelen)) {
            set_field(&u->field[i], name, namelen, value);
            return 0;
        }
    }
    set_field(&u->field[u->nfields++], name, namelen, value);
    return 0;
}

static int build_head(const load_opts *o, load_url *u)
{
    char *length;
    int i;

    u->field = calloc((size_t)o->nheaders + 6, sizeof(*u->field));
    if (!u->field) {
        return usage_error("out of memory", "");
    }
    set_field(&u->field[0], ":method", 7, o->method);
    set_field(&u->field[1], ":scheme", 7, "https");
    set_field(&u->field[2], ":authority", 10, u->authority);
    set_field(&u->field[3], ":path", 5, u->path);
    set_field(&u->field[4], "user-agent", 10, "h3load");
    u->nfields = 5;
    if (o->upload_size >= 0) {
        if (asprintf(&length, "%lld", (long long)o->upload_size) < 0) {
            return usage_error("out of memory", "");
        }
        set_field(&u->field[u->nfields++], "content-length", 14, length);
    }
    for (i = 0; i < o->nheaders; ++i) {
        if (add_header(u, o->header[i])) {
            return -1;
        }
    }
    return 0;
}
