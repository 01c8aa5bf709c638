# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  account_id:
    description:
      - The account that is looked at. Needed to make a token from O(jwt_secret); else that of O(token) is taken.
      - The environment variable E(BACKOFFICE_ACCOUNT_ID) is used when this is not set.
    type: str
  token:
    description:
      - A token (JWT) that is sent as it is. It wins over O(jwt_secret).
      - The environment variable E(BACKOFFICE_JWT) is used when this is not set.
    type: str
  jwt_secret:
    description:
      - Secret with which a token (HS256, valid for five minutes) is made for O(account_id).
      - The environment variable E(JWT_HS256_SECRET) is used when this is not set.
      - Without it and without O(token) requests carry no token, which suits implementations that ask for none.
    type: str
  jwt_issuer:
    description: Issuer (C(iss)) of that token, for servers with a C(JWT_ISSUER).
    type: str
  jwt_audience:
    description: Audience (C(aud)) of that token, for servers with a C(JWT_AUDIENCE).
    type: str
requirements:
  - PyJWT >= 2.8
"""
