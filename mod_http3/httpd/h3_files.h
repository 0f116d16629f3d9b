/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files that a request has open. Its pool would close them when the client has the last byte
 * of its response; they are closed as soon as the request has run, for a response that waits for
 * its client is to hold no descriptors.
 *
 * The filter H3_FILES stands before all others, also before those that mod_mime adds: of a file
 * that they read, no bucket ever comes to c2's output filter. On the thread that has c2.
 */
#ifndef H3_FILES_H
#define H3_FILES_H

#include <apr_file_io.h>
#include "httpd/h3_c2.h"

void h3_files_register_hooks(apr_pool_t *p);

/*
 * A bucket of `file` has come by. Nothing is done about one whose pool is not the request's (a
 * cache of open files): whoever has opened it closes it.
 */
void h3_files_note(h3_c2 *c2, apr_file_t *file);

/* The handler is through with them, and spans have descriptors of their own. */
void h3_files_close(h3_c2 *c2);

#endif /* H3_FILES_H */
