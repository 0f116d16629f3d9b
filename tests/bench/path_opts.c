/* SPDX-License-Identifier: Apache-2.0 */
#include "path_opts.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* LINK: for both directions, and with "down-" or "up-" before its name for one. */
typedef enum { OPT_LINK, OPT_QUEUE, OPT_REAL, OPT_TEXT, OPT_HELP } opt_kind;

typedef struct opt_row {
    const char *name;
    opt_kind kind;
    size_t offset;
    double min, max;
    const char *arg;
    const char *help;
} opt_row;

#define OF_LINK(member) offsetof(path_link_conf, member)
#define OF_ALL(member) offsetof(path_opts, member)

static const opt_row rows[] = {
    { "rate", OPT_LINK, OF_LINK(rate), 0, 1e5, "MBIT", "Mbit/s (0: unlimited)" },
    { "delay", OPT_LINK, OF_LINK(delay), 0, 1e4, "MS", "one way (0)" },
    { "queue", OPT_QUEUE, OF_LINK(queue), 0, 1e9, "N[k|m]",
      "bytes, or Xbdp: X bandwidth-delay products, at least 15000 bytes (1bdp)" },
    { "loss", OPT_LINK, OF_LINK(loss), 0, 100, "PERCENT", "random losses (0)" },
    { "burst", OPT_LINK, OF_LINK(burst), 1, 1e6, "N",
      "they come in bursts of N packets on average (each by itself)" },
    { "reorder", OPT_LINK, OF_LINK(reorder), 0, 100, "PERCENT",
      "packets that are held back for --hold (0)" },
    { "hold", OPT_LINK, OF_LINK(hold), 0, 1e4, "MS", "how long (1)" },
    { "duplicate", OPT_LINK, OF_LINK(duplicate), 0, 100, "PERCENT", "arrive twice (0)" },
    { "later-mtu", OPT_LINK, OF_LINK(later_mtu), 68, 65535, "N",
      "after --later, longer packets vanish without a word" },
    { "later", OPT_LINK, OF_LINK(later), 0, 1e6, "S", "seconds (0)" },
    { "mtu", OPT_REAL, OF_ALL(mtu), 1280, 65535, "N", "of both devices (1500)" },
    { "seed", OPT_REAL, OF_ALL(seed), 0, 9e15, "N", "of all chance (1)" },
    { "limit", OPT_REAL, OF_ALL(limit), 0, 1e6, "S",
      "end the command after S seconds; the exit code is then 124" },
    { "report", OPT_TEXT, OF_ALL(report), 0, 0, "FILE", "where the report goes (stderr)" },
    { "help", OPT_HELP, 0, 0, 0, NULL, "this text" },
};

#define NROWS (sizeof(rows) / sizeof(rows[0]))
#define LONG_BASE 256
#define NAME_MAX_LEN 24

static const char *const prefixes[] = { "", "down-", "up-" };
#define NPREFIXES (sizeof(prefixes) / sizeof(prefixes[0]))

static int usage_error(const char *what, const char *arg);
static void usage(void);
static void set_defaults(path_opts *o);
static int set_row(path_opts *o, const opt_row *row, size_t prefix, const char *arg);
static int parse_real(double *value, const opt_row *row, const char *arg);
static int parse_queue(double *value, const opt_row *row, const char *arg);

int path_opts_parse(path_opts *o, int argc, char **argv)
{
    static char names[NPREFIXES * NROWS][NAME_MAX_LEN];
    struct option longs[NPREFIXES * NROWS + 1];
    size_t i;
    int c;

    set_defaults(o);
    memset(longs, 0, sizeof(longs));
    for (i = 0; i < NPREFIXES * NROWS; ++i) {
        const opt_row *row = &rows[i % NROWS];

        /* What has no directions has the prefixed names, too, and set_row refuses them. */
        snprintf(names[i], sizeof(names[i]), "%s%s", prefixes[i / NROWS], row->name);
        longs[i].name = names[i];
        longs[i].has_arg = row->arg ? required_argument : no_argument;
        longs[i].val = LONG_BASE + (int)i;
    }
    /* "+": the command's own options are not ours. */
    while ((c = getopt_long(argc, argv, "+", longs, NULL)) != -1) {
        if (c < LONG_BASE) {
            return -1;
        }
        i = (size_t)(c - LONG_BASE);
        if (rows[i % NROWS].kind == OPT_HELP) {
            usage();
            return 1;
        }
        if (set_row(o, &rows[i % NROWS], i / NROWS, optarg)) {
            return -1;
        }
    }
    if (optind == argc) {
        return usage_error("no command", "");
    }
    o->command = argv + optind;
    return 0;
}

static int usage_error(const char *what, const char *arg)
{
    fprintf(stderr, "path: %s %s (path --help lists the options)\n", what, arg);
    return -1;
}

static void usage(void)
{
    char left[64];
    size_t i;

    printf(
        "usage: path [options] -- COMMAND [ARG...]\n"
        "Joins two new network namespaces by an emulated path and runs COMMAND in the client's.\n"
        "Addresses: server 198.18.0.1 and 2001:2::1, client 198.18.0.2 and 2001:2::2.\n"
        "PATH_SERVER_NET and PATH_CLIENT_NET name the namespaces, for nsenter --net=.\n"
        "The exit code is the command's; 2: wrong usage, 125: there is no path.\n\n");
    for (i = 0; i < NROWS; ++i) {
        snprintf(left, sizeof(left), "--%s %s", rows[i].name, rows[i].arg ? rows[i].arg : "");
        printf("  %-20s %s\n", left, rows[i].help);
    }
    printf("\nAll but the last five are for both directions; with down- (server to client) or up-\n"
           "before the name (--up-rate 1), they are for one.\n");
}

static void set_defaults(path_opts *o)
{
    int i;

    memset(o, 0, sizeof(*o));
    for (i = 0; i < PATH_DIRECTIONS; ++i) {
        o->link[i].queue = -1;
        o->link[i].hold = 1;
    }
    o->mtu = 1500;
    o->seed = 1;
}

static int set_row(path_opts *o, const opt_row *row, size_t prefix, const char *arg)
{
    int i, one = prefix ? (int)prefix - 1 : -1;
    double value;

    if (row->kind == OPT_REAL || row->kind == OPT_TEXT) {
        if (one >= 0) {
            return usage_error("there are no directions of", row->name);
        }
        if (row->kind == OPT_REAL) {
            return parse_real((double *)((char *)o + row->offset), row, arg);
        }
        *(const char **)((char *)o + row->offset) = arg;
        return 0;
    }
    if (row->kind == OPT_QUEUE ? parse_queue(&value, row, arg) : parse_real(&value, row, arg)) {
        return -1;
    }
    for (i = 0; i < PATH_DIRECTIONS; ++i) {
        if (one < 0 || one == i) {
            *(double *)((char *)&o->link[i] + row->offset) = value;
        }
    }
    return 0;
}

static int parse_real(double *value, const opt_row *row, const char *arg)
{
    char *end;

    *value = strtod(arg, &end);
    if (end == arg || *end || !(*value >= row->min && *value <= row->max)) {
        return usage_error("a bad value for", row->name);
    }
    return 0;
}

static int parse_queue(double *value, const opt_row *row, const char *arg)
{
    char *end;
    int factor;

    *value = strtod(arg, &end);
    factor = end != arg && !strcmp(end, "bdp");
    if (end != arg && !factor && (*end == 'k' || *end == 'm')) {
        *value *= *end++ == 'k' ? 1024 : 1048576;
    }
    if (end == arg || (*end && !factor) || !(*value >= row->min && *value <= row->max)
        || (factor && *value <= 0)) {
        return usage_error("a bad value for", row->name);
    }
    *value = factor ? -*value : *value;
    return 0;
}
