# SPDX-License-Identifier: Apache-2.0
"""The harness of the tests: a private stock httpd, clients for every protocol, raw datagrams."""
