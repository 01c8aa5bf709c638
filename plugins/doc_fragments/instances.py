# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  concurrency:
    description: How many instances are asked at once.
    type: int
    default: 32
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
      - Time for one request, from resolving the name to the last byte of the answer.
      - A server that sends a byte now and then does not lengthen it.
    type: float
    default: 10.0
  max_body_bytes:
    description: What is longer is cut; the rest is not read.
    type: int
    default: 4194304
  use_proxy:
    description: Whether the proxy that the environment names (C(http_proxy), C(https_proxy), C(no_proxy)) is used.
    type: bool
    default: true
  timeout:
    description: Time for the whole task in seconds.
    type: float
    default: 60.0
  kubernetes:
    description:
      - The cluster of the targets that are pods. The options above are for targets with a URL only, except
        O(concurrency), O(request_timeout_seconds), O(max_body_bytes) and O(timeout).
    type: dict
    suboptions:
      kubeconfig:
        description:
          - Kubeconfig file. Without it and without O(kubernetes.host) the variable E(KUBECONFIG), then
            C(~/.kube/config), then the service account of the pod that the controller runs in.
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
          - File with the key of O(kubernetes.client_cert), PEM.
          - Falls back to E(K8S_AUTH_KEY_FILE).
        type: path
      validate_certs:
        description:
          - Whether the API server must show a certificate that is signed by a known authority and bears its name.
            Without it the kubeconfig decides, which says yes unless told otherwise.
          - Falls back to E(K8S_AUTH_VERIFY_SSL).
        type: bool
requirements:
  - urllib3 >= 2.0
  - kubernetes (Python library) >= 29.0, for targets that are pods
notes:
  - Pods are asked through the API server, each on its own. This needs the rights C(get) on C(services), C(list) on
    C(endpointslices), C(list) on C(pods) where a selector is used, and C(get) on C(pods/proxy). With C(get) on
    C(namespaces) an absent namespace can be told from an empty one.
  - The API server takes the header C(Authorization) for its own, so O(token) and its like reach targets with a URL only.
  - Each instance is asked once. What does not answer at that moment is an observation.
"""
