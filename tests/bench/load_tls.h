/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's TLS: one context for all connections, verification of the
 * peer's chain and name, the session file.
 */
#ifndef LOAD_TLS_H
#define LOAD_TLS_H

#include <stdint.h>
#include "load_opts.h"

struct ssl_st;
struct ssl_ctx_st;

/* NULL after a message on stderr. `o` must outlive the context. */
struct ssl_ctx_st *load_tls_ctx(const load_opts *o);
/* A client SSL with ALPN, SNI, the name to verify and the session, if any. NULL: out of memory. */
struct ssl_st *load_tls_new(struct ssl_ctx_st *ctx, const load_opts *o);
void load_tls_free(struct ssl_st *ssl);
int load_tls_is_resumed(const struct ssl_st *ssl);
/* Why the peer's certificate was refused, or NULL if it was not. */
const char *load_tls_refusal(const struct ssl_st *ssl);
/* SHA-256 of the request body that `o` describes. */
void load_tls_upload_digest(uint8_t digest[32], const load_opts *o);

#endif /* LOAD_TLS_H */
