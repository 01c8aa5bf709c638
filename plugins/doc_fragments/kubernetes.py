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
      - Use C(group/sre.runbooks.kubernetes) in C(module_defaults) to say once which cluster is meant.
      - C(group/sre.runbooks.runbooks) is every module of the collection, for tools that list them. These have no option
        in common.
    support: full
    membership:
      - sre.runbooks.kubernetes
      - sre.runbooks.runbooks
options:
  kubeconfig:
    description:
      - Kubeconfig file. Without it and without O(host) the variable E(KUBECONFIG), then C(~/.kube/config), then the service
        account of the pod that the controller runs in.
      - Falls back to E(K8S_AUTH_KUBECONFIG).
    type: path
  context:
    description:
      - Context of the kubeconfig; its current context when not given. The namespace of a context is never used.
      - Falls back to E(K8S_AUTH_CONTEXT).
    type: str
  host:
    description:
      - URL of the API server, in place of that of the kubeconfig.
      - Falls back to E(K8S_AUTH_HOST).
    type: str
  api_key:
    description:
      - Bearer token, in place of the credentials of the kubeconfig.
      - Falls back to E(K8S_AUTH_API_KEY), which AWX sets from a credential.
    type: str
  ca_cert:
    description:
      - File with the certificate of the authority that signed the API server's, PEM.
      - Falls back to E(K8S_AUTH_SSL_CA_CERT).
    type: path
  client_cert:
    description:
      - File with a client certificate, PEM.
      - Falls back to E(K8S_AUTH_CERT_FILE).
    type: path
  client_key:
    description:
      - File with the key of O(client_cert), PEM.
      - Falls back to E(K8S_AUTH_KEY_FILE).
    type: path
  validate_certs:
    description:
      - Whether the API server must show a certificate that is signed by a known authority and bears its name. Without it
        the kubeconfig decides, which says yes unless told otherwise.
      - Falls back to E(K8S_AUTH_VERIFY_SSL).
    type: bool
  namespace:
    description: Namespace of the objects. It is always said, never taken from a context.
    type: str
    required: true
  timeout:
    description: Seconds for the whole task.
    type: float
    default: 60.0
requirements:
  - kubernetes (Python library) >= 29.0
"""
