# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # The attribute replaces that of sre.runbooks.attributes where this fragment stands before it.
    DOCUMENTATION = r"""
attributes:
  action_group:
    description:
      - Use C(group/sre.runbooks.http_client) in C(module_defaults) to say once how all HTTP modules connect.
      - C(group/sre.runbooks.runbooks) is every module of the collection, for tools that list them. These have no option
        in common.
    support: full
    membership:
      - sre.runbooks.http_client
      - sre.runbooks.runbooks
options:
  validate_certs:
    description: Whether the certificate of a server must be signed by a known authority and bear its name.
    type: bool
    default: true
  ca_path:
    description:
      - File or folder with the certificates of the authorities that are trusted, PEM.
      - Without it those of the system are trusted.
    type: path
  client_cert_path:
    description: File with the certificate that is shown to servers, PEM; it may hold the key too.
    type: path
  client_key_path:
    description: File with the key of O(client_cert_path), PEM, not encrypted.
    type: path
  connect_timeout_seconds:
    description: Time for resolving the name and making the connection.
    type: float
    default: 5.0
  request_timeout_seconds:
    description:
      - Time for one try of one request, from resolving the name to the last byte of the answer.
      - A server that sends a byte now and then does not lengthen it.
    type: float
    default: 10.0
  retries:
    description:
      - How often a request is tried again after a refused or lost connection, or after HTTP 429, 502, 503 or 504.
      - Only requests that do no harm when sent twice are. The header C(Retry-After) is honoured up to 30 seconds.
    type: int
    default: 2
  max_body_bytes:
    description: What is longer is cut; the rest is not read.
    type: int
    default: 4194304
  follow_redirects:
    description:
      - Whether up to five redirects are followed. Otherwise a redirect is the answer.
      - Credentials are not sent to another host, scheme or port, and a body is not either.
    type: bool
    default: false
  use_proxy:
    description: Whether the proxy that the environment names (C(http_proxy), C(https_proxy), C(no_proxy)) is used.
    type: bool
    default: true
  timeout:
    description: Time for the whole task in seconds, with all retries and waits.
    type: float
    default: 60.0
requirements:
  - urllib3 >= 2.0
"""

    AUTH = r"""
options:
  token:
    description: A bearer token that is sent with every request.
    type: str
  username:
    description: User for HTTP basic authentication.
    type: str
  password:
    description: Password of O(username).
    type: str
  jwt_secret:
    description: Secret with which a token (HS256) is made for this task and sent with every request.
    type: str
  jwt_claims:
    description: Claims of that token, besides C(iat) and C(exp).
    type: dict
    default: {}
  jwt_lifetime_seconds:
    description: How long that token is valid.
    type: int
    default: 300
requirements:
  - PyJWT >= 2.8 (for O(jwt_secret))
"""
