#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_probe
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: Judge certificates in use, of TLS endpoints, Kubernetes Secrets and files
description:
  - Looks at many certificates in one task, where they are shown (TLS endpoints) and where they are kept (Secrets of type
    C(kubernetes.io/tls), PEM files, the client certificate of a kubeconfig).
  - Judges how long they are valid (the intermediates too), whether they are for the right names, whether a client of this
    machine trusts them, whether the chain hangs together, whether a Secret's key is that of its certificate, and whether a
    server shows the certificate of its Secret or still an old one.
  - Renews nothing. For each certificate that is due it returns a hand-off with an owner, a deadline, and who renews it as
    far as the Secret tells.
  - The first handshake with an endpoint verifies as any client does. When it fails, a second one accepts anything, in
    order to read what is wrong. No data of an application is sent in either, and no credentials.
  - The key of a Secret is compared with its certificate and goes no further. It is never returned.
extends_documentation_fragment:
  - sre.runbooks.attributes
  - sre.runbooks.attributes.read_only
options:
  endpoints:
    description: TLS servers that are asked. Proxies of the environment are not used.
    type: list
    elements: dict
    default: []
    suboptions:
      id:
        description: Name of its checks. Without it the address.
        type: str
      address:
        description: C(host:port), C(host) (port 443) or an https URL, of which host and port are taken.
        type: str
        required: true
      server_name:
        description: The name that is asked for and that the certificate must be for. Without it the host.
        type: str
      starttls:
        description: Protocol that begins without TLS. V(postgresql) asks for TLS first, on port 5432 unless one is given.
        type: str
        choices: [postgresql]
      secret:
        description: The Secret whose certificate it should show. It is read and judged as if it stood in O(secrets).
        type: dict
        suboptions:
          namespace:
            description: Namespace of the Secret.
            type: str
            required: true
          name:
            description: Name of the Secret.
            type: str
            required: true
      owner:
        description: O(owner) of this certificate.
        type: str
  secrets:
    description: Secrets that are read.
    type: list
    elements: dict
    default: []
    suboptions:
      namespace:
        description: Namespace of the Secret. It is never taken from a context.
        type: str
        required: true
      name:
        description: Name of the Secret. Without it all Secrets of type C(kubernetes.io/tls) in the namespace.
        type: str
      names:
        description: Host names and addresses that the certificate must be for.
        type: list
        elements: str
        default: []
      owner:
        description: O(owner) of this certificate.
        type: str
  paths:
    description: PEM files on the machine where the task runs, each with a certificate and what follows it.
    type: list
    elements: path
    default: []
  kubeconfig_certificate:
    description: Whether the client certificate of O(kubernetes) is looked at, which often expires unnoticed.
    type: bool
    default: false
  min_days:
    description: Days that a certificate must still be valid. Fewer fail.
    type: float
    default: 14.0
  warn_days:
    description: Days from which on it is handed off to be renewed, in RV(renewals) and RV(findings), without failing.
    type: float
    default: 30.0
  check_trust:
    description: Whether endpoints must be trusted by a client of this machine.
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
  owner:
    description: Who is responsible for renewing, a team or an address. It stands in the hand-off.
    type: str
  renew_playbook:
    description: Playbook that renews. It is named as the next step, with the argument C(certificate).
    type: str
  connect_timeout_seconds:
    description: Time for resolving the name and making the connection.
    type: float
    default: 5.0
  handshake_timeout_seconds:
    description: Time for one handshake, connection included.
    type: float
    default: 10.0
  concurrency:
    description: How many certificates are read at once.
    type: int
    default: 32
  timeout:
    description: Time for the whole task in seconds.
    type: float
    default: 60.0
  runbook:
    description: Section of the runbook that asks for this, shown in the checks.
    type: str
    default: ""
  kubernetes:
    description: The cluster of O(secrets), and the kubeconfig of O(kubeconfig_certificate).
    type: dict
    suboptions:
      kubeconfig:
        description:
          - Kubeconfig file. Without it and without O(kubernetes.host) the variable E(KUBECONFIG), then C(~/.kube/config),
            then the service account of the pod that the controller runs in.
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
          - Whether the API server must show a certificate that is signed by a known authority and bears its name. Without
            it the kubeconfig decides, which says yes unless told otherwise.
          - Falls back to E(K8S_AUTH_VERIFY_SSL).
        type: bool
requirements:
  - cryptography >= 42
  - urllib3 >= 2.0
  - kubernetes (Python library) >= 29.0, for O(secrets) and O(kubeconfig_certificate)
notes:
  - Secrets need the right C(get) on C(secrets), or C(list) where no name is given. Whoever has it can read the keys too,
    so grant it for the named Secrets only.
  - Days are counted by the clock of the machine where the task runs.
  - A server that cannot be reached leaves its certificate unverified. One that does not speak TLS fails.
  - Before Python 3.13 the chain that a server sent is read by a method that is not public there; where it is missing only
    the first certificate is seen, and the check of the chain is unverified.
seealso:
  - module: sre.runbooks.http_probe
"""

EXAMPLES = r"""
- name: Everything behind the API's name
  sre.runbooks.certificate_probe:
    kubernetes:
      kubeconfig: ~/.kube/production
      context: production
    endpoints:
      - address: api.example.com:443
        secret:
          namespace: hafnium
          name: hafnium-api-tls
      - address: db.example.com
        starttls: postgresql
    kubeconfig_certificate: true
    owner: "Platform team, #platform"
    min_days: 14
    warn_days: 30
    runbook: "6"

- name: All TLS Secrets of a namespace, and files on this machine
  sre.runbooks.certificate_probe:
    secrets:
      - namespace: hafnium
    paths:
      - /etc/kafka/broker.pem
"""

RETURN = r"""
verdict:
  description: The worst status of the checks.
  type: str
  returned: always
  choices: [pass, fail, unverified]
  sample: fail
checks:
  description:
    - C(<id>.expiry), C(<id>.name) (with several names C(<id>.name.<name>)), C(<id>.trust), C(<id>.chain), C(<id>.key) and
      C(<id>.served), as far as they make sense for the place.
    - The id is the address, C(<namespace>/<name>) of a Secret, the path of a file, or V(kubeconfig).
    - V(fail) is what was observed and is wrong; V(unverified) is what could not be observed.
  type: list
  elements: dict
  returned: always
  sample:
    - id: api.example.com:443.expiry
      title: "api.example.com:443: how long its certificate is valid"
      status: fail
      observed: 5.2 days, until 2026-02-05T08:00:00Z
      expected: at least 14 days
      hint: Renew it where it is kept, and reload.
      runbook: "6"
      duration_ms: 12
findings:
  description: One for each certificate that is due, with the playbook of O(renew_playbook) as the next step.
  type: list
  elements: dict
  returned: always
  sample:
    - cause: "api.example.com:443: the certificate expires in 5.2 days. Renew by 2026-01-31T03:00:00Z; responsible:
        Platform team; renewed by hand."
      confidence: seen
      evidence: ["api.example.com:443.expiry"]
      affects: ["api.example.com:443"]
      next: null
renewals:
  description:
    - Hand-offs, one for each certificate that is valid for fewer than O(warn_days) days, in however many places it was seen.
  type: list
  elements: dict
  returned: always
  contains:
    id:
      description: The id of the place where it is kept, or else shown.
      type: str
    where:
      description: That place in words.
      type: str
    places:
      description: The ids of all places where it was seen.
      type: list
      elements: str
    subject:
      description: Subject of the certificate that ends first.
      type: str
    not_after:
      description: Its end.
      type: str
    days_left:
      description: Days until then; negative when it has expired.
      type: float
    deadline:
      description: When it must be renewed, O(min_days) before its end, or now.
      type: str
    owner:
      description: Who is responsible, from O(owner); empty when nobody is named.
      type: str
    renewed_by:
      description: V(cert-manager), the kind of another controller, a deployment tool, or empty for by hand.
      type: str
    renewed_by_name:
      description: Its name.
      type: str
    issuer:
      description: The issuer that cert-manager uses.
      type: str
certificates:
  description: What was seen, one item for each place.
  type: list
  elements: dict
  returned: always
  contains:
    id:
      description: The id of the place.
      type: str
    place:
      description: V(endpoint), V(secret), V(file) or V(kubeconfig).
      type: str
    where:
      description: The place in words.
      type: str
    problem:
      description: Why no certificate was seen; then what follows is absent.
      type: str
    subject:
      description: Subject.
      type: str
    issuer:
      description: Issuer.
      type: str
    names:
      description: Subject alternative names, DNS names and addresses.
      type: list
      elements: str
    serial:
      description: Serial number, hexadecimal.
      type: str
    fingerprint_sha256:
      description: Fingerprint.
      type: str
    not_before:
      description: Begin of its validity.
      type: str
    not_after:
      description: End of its validity.
      type: str
    days_left:
      description: Days until its end.
      type: float
    key:
      description: Kind and size of its key.
      type: str
    signature:
      description: Hash of its signature.
      type: str
    self_signed:
      description: Whether it names itself as its issuer.
      type: bool
    chain:
      description: What was sent or kept, in that order, the certificate first.
      type: list
      elements: dict
    chain_complete:
      description: Whether the chain leads to a root; V(null) where that cannot be seen.
      type: bool
    name_matches:
      description: Whether it is for each of the names that were asked for.
      type: dict
    trusted:
      description: Whether a client of this machine accepts it; V(null) for what is no endpoint, or was not seen.
      type: bool
    trust_problem:
      description: Why it does not.
      type: str
    tls_version:
      description: Version of TLS that was agreed on.
      type: str
    key_belongs:
      description: Whether the key of the Secret is that of the certificate; V(null) where there is none.
      type: bool
    renewed_by:
      description: As in RV(renewals[].renewed_by).
      type: str
    renewed_by_name:
      description: Its name.
      type: str
requests:
  description: Number of requests to the API server.
  type: int
  returned: always
"""

from ansible_collections.sre.runbooks.plugins.module_utils import certificate_probe, operation

REQUIRES = ("cryptography", "urllib3")


def main() -> None:
    operation.main(certificate_probe.SPEC, certificate_probe.run, REQUIRES)


if __name__ == "__main__":
    main()
