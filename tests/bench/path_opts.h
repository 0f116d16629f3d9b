/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of path, as one structure that nobody changes after
 * path_opts_parse. Lives as long as the process.
 */
#ifndef PATH_OPTS_H
#define PATH_OPTS_H

#include "path_link.h"

typedef enum { PATH_DOWN, PATH_UP, PATH_DIRECTIONS } path_direction;

typedef struct path_opts {
    path_link_conf link[PATH_DIRECTIONS];
    double mtu;
    double seed;
    double limit;       /* seconds for the command; 0: none */
    const char *report; /* file; NULL: stderr */
    char **command;
} path_opts;

/* 0; 1 if only help was asked for; -1 after a message on stderr. */
int path_opts_parse(path_opts *o, int argc, char **argv);

#endif /* PATH_OPTS_H */
