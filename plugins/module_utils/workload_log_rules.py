# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What log statements mean: the rules as a table, and the search through a log. Pure.

A rule has one or more patterns, which are looked for in one statement (its lines joined by blanks), and may ask for a
context, which is looked for in everything said in the same breath: ``UnknownHostException: db`` alone does not tell a
database from a broker. Texts of Spring Boot 2.7 to 3.5, Flyway 9 to 11, HikariCP 5, the drivers of PostgreSQL, Kafka
clients 3 and 4, Lettuce, Python's and Node's usual clients, and of container runtimes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

from .log_failures import Statement
from .redact import observed

NEAR_THE_END = 150  # lines: the frames of a deep stack trace

_DATABASE = re.compile(
    r"PSQLException|postgres|Hikari|[Ff]lyway|jdbc|SQLException|DataSource|psycopg|asyncpg|sqlalchemy|mysql|mongo"
    r"|CommunicationsException|:(?:5432|3306|27017)\b",
)
_KAFKA = re.compile(r"(?i)kafka|bootstrap[._]servers|redpanda|:9092\b")
_REDIS = re.compile(r"(?i)redis|lettuce|jedis|:6379\b")
_IDENTITY = re.compile(r"(?i)keycloak|JwtDecoder|issuer|jwk|openid|oidc|oauth2|/realms/")
_TIMED_OUT = re.compile(r"(?i)timed? ?out|NoRouteToHost|no route to host|unreachable")
_FLYWAY = re.compile(r"(?i)flyway")
_HOST = r"(?P<host>\[[0-9a-fA-F:]+\]|::1|[\w.-]+)"
_DATABASE_PORTS = r"(?P<port>5432|3306|27017|1433|1521)"


_NAME = re.compile(r"\{(\w+)\}")
_OPTIONAL = re.compile(r"\[\[(.*?)\]\]")


@dataclass(frozen=True)
class Rule:
    """``says`` is the sentence; names in braces are those of the patterns' groups, and what stands in ``[[ ]]`` is left out
    where a group in it has no value. ``broad`` rules count only when no
    other rule knows the same breath; ``unless`` is a context that must not be found."""

    cause: str
    says: str
    patterns: tuple[re.Pattern[str], ...]
    context: tuple[re.Pattern[str], ...] = ()
    broad: bool = False
    unless: re.Pattern[str] | None = None

    def match(self, text: str, context: str) -> re.Match[str] | None:
        if not all(pattern.search(context) for pattern in self.context):
            return None
        if self.unless and self.unless.search(context):
            return None
        return next((found for found in (pattern.search(text) for pattern in self.patterns) if found), None)


def _rule(
    cause: str,
    says: str,
    *patterns: str,
    context: tuple[re.Pattern[str], ...] = (),
    broad: bool = False,
    unless: re.Pattern[str] | None = None,
) -> Rule:
    return Rule(cause, says, tuple(re.compile(pattern) for pattern in patterns), context, broad, unless)


RULES: tuple[Rule, ...] = (
    _rule(
        "heap_exhausted",
        "the process ran out of memory of its own ({detail}) within the container's limit",
        r"OutOfMemoryError: (?P<detail>Java heap space|GC overhead limit exceeded|Metaspace|Compressed class space"
        r"|Direct buffer memory|Cannot reserve \d+ bytes of direct buffer memory|Requested array size exceeds VM limit)",
        r"(?P<detail>JavaScript heap out of memory|There is insufficient memory for the Java Runtime Environment)",
        r"^(?P<detail>MemoryError)\b",
    ),
    _rule(
        "threads_exhausted",
        "no further thread could be made",
        r"unable to create (?:new )?native thread|can't start new thread|pthread_create failed",
    ),
    _rule("file_limit", "too many files or connections are open", r"Too many open files|EMFILE"),
    _rule(
        "database_auth_failed",
        "the database does not accept the login[[ of user {user}]]",
        r'password authentication failed for user "(?P<user>[^"]*)"',
        r'FATAL: role "(?P<user>[^"]+)" does not exist',
        r'no pg_hba\.conf entry for host "[^"]*", user "(?P<user>[^"]*)"',
        r"Access denied for user '(?P<user>[^']*)'",
        r"requested (?:SCRAM|MD5)?-?based authentication, but (?:no|the) password (?:was provided|is an empty string)",
        r"fe_sendauth: no password supplied",
        r'permission denied for (?:schema|database|table|relation) "?(?P<user>[\w.]+)"?',
    ),
    _rule(
        "database_missing",
        "the database {database} does not exist",
        r'FATAL: (?:\(ENOTFOUND\) )?database "(?P<database>[^"]+)" does not exist',
        r"Unknown database '(?P<database>[^']+)'",
        r'database "(?P<database>[^"]+)" does not exist',
    ),
    _rule(
        "database_connections_exhausted",
        "the database has no connection left",
        r"too many clients already|remaining connection slots are reserved|Too many connections|too many connections for",
    ),
    _rule(
        "database_starting",
        "the database does not take connections yet",
        r"the database system is (?:starting up|shutting down|in recovery mode|not yet accepting connections)",
    ),
    _rule(
        "database_unknown_host",
        "the database host[[ {host}]] has no address",
        rf"UnknownHostException:? {_HOST}",
        r'could not translate host name "(?P<host>[^"]+)" to address',
        rf"getaddrinfo (?:ENOTFOUND|EAI_AGAIN) {_HOST}",
        r"Name or service not known|Temporary failure in name resolution|nodename nor servname provided",
        context=(_DATABASE,),
    ),
    _rule(
        "database_refused",
        "the database[[ at {host}:{port}]] refuses connections",
        rf"Connection to {_HOST}:(?P<port>\d+) refused",
        r'connection to server at "(?P<host>[^"]+)"(?: \([^)]*\))?, port (?P<port>\d+) failed: Connection refused',
        rf"ECONNREFUSED {_HOST}:{_DATABASE_PORTS}\b",
        rf"Connect call failed \('(?P<host>[^']+)', {_DATABASE_PORTS}\)",
        rf"dial tcp (?:lookup )?{_HOST}:{_DATABASE_PORTS}: connect: connection refused",
        rf"Can't connect to (?:MySQL|local) server .*'{_HOST}(?::(?P<port>\d+))?'",
    ),
    _rule(
        "database_timeout",
        "the database at {host}:{port} does not answer",
        r'connection to server at "(?P<host>[^"]+)"(?: \([^)]*\))?, port (?P<port>\d+) failed: (?:timeout|Connection timed out|No route)',
        rf"(?:ETIMEDOUT|EHOSTUNREACH) {_HOST}:{_DATABASE_PORTS}\b",
        rf"dial tcp {_HOST}:{_DATABASE_PORTS}: (?:i/o timeout|connect: (?:connection timed out|no route to host))",
    ),
    _rule(
        "database_timeout",
        "the database does not answer",
        r"The connection attempt failed|SocketTimeoutException|NoRouteToHostException|[Cc]onnect timed out",
        context=(_DATABASE, _TIMED_OUT),
    ),
    _rule(
        "connection_pool_exhausted",
        "the connection pool[[ {pool}]] gave no connection[[ within {ms} ms]]",
        r"(?P<pool>\S+) - Connection is not available, request timed out after (?P<ms>\d+) ?ms(?!.*\(total=0,)",
        r"QueuePool limit of size \d+ overflow \d+ reached",
    ),
    _rule(
        "database_refused",
        "no connection to the database could be made",
        r"Connection is not available, request timed out after \d+ ?ms.*\(total=0,",
        r"Communications link failure",
        r"MongoServerSelectionError|MongoTimeoutException|ServerSelectionTimeoutError",
    ),
    _rule(
        "database_url_invalid",
        "the database URL is none that a driver takes",
        r"claims to not accept jdbcUrl",
        r"(?i)'?url'? must start with ['\"]jdbc",
        r"No suitable driver found for",
        r"Cannot load driver class: (?P<driver>\S+)",
        r"Unable to parse (?:the )?(?:connection )?URL|ArgumentError: Could not parse (?:rfc1738|SQLAlchemy) URL",
    ),
    _rule(
        "config_missing",
        "the database URL (spring.datasource.url) is not set",
        r"Failed to configure a DataSource: 'url' attribute is not specified",
        r"Failed to determine (?:a suitable|suitable jdbc) (?:driver class|url)",
    ),
    _rule(
        "flyway_failed",
        "Flyway found more than one migration with version {version}",
        r"Found more than one (?:repeatable )?migration with (?:version|description) (?P<version>\S+)",
    ),
    _rule(
        "flyway_failed",
        "Flyway's validation failed: {detail}",
        r"Validate failed: (?:Migrations have failed validation )?(?P<detail>.{1,300}?)(?= Either revert| Need more|$)",
        r"(?P<detail>Migrations? checksum mismatch for migration version \S+)",
        r"(?P<detail>Detected (?:failed migration to|applied migration not resolved locally|resolved migration not applied).{0,160})",
    ),
    _rule(
        "flyway_failed",
        "Flyway refuses: {detail}",
        r"(?P<detail>Found non-empty schema\(s\).{0,160})",
        r"(?P<detail>Schema .{1,80} contains a failed migration to version \S+)",
        r"(?P<detail>Unsupported Database: .{1,80})",
        r"(?P<detail>Unable to resolve location .{1,160})",
    ),
    _rule(
        "flyway_failed",
        "Flyway's migration {name} failed[[: {detail}]]",
        r"(?:Migration|Script) (?P<name>\S+) failed.{0,200}?Message +: (?P<detail>.{1,200}?)(?= (?:Position|Location|Hint|Detail)\b|$)",
        r"(?:Migration|Script) (?P<name>\S+) failed",
        context=(_FLYWAY,),
    ),
    _rule(
        "flyway_locked",
        "Flyway waits for a lock that another session holds",
        r"(?i)unable to (?:acquire|obtain) .{0,60}(?:advisory |table )?lock|Number of retries exceeded while attempting to acquire",
    ),
    _rule(
        "schema_mismatch",
        "the schema is not the one that the code wants: {detail}",
        r"(?P<detail>Schema-validation: .{1,160})",
        r'(?P<detail>(?:relation|column|table) "[^"]+" (?:of relation "[^"]+" )?does not exist)',
        r"(?P<detail>no such table: \S+)",
        unless=_FLYWAY,
    ),
    _rule(
        "jwk_set_uri_missing",
        "no jwk-set-uri is set, and the service does not start without one",
        r"(?i)jwk[-_]?set[-_]?uri\b.{0,100}?\b(?:must|required|cannot be (?:empty|null)|not (?:been )?(?:set|configured|specified)|missing|is (?:null|empty))",
        r"(?i)(?:must|required|missing|no|without)\b.{0,60}\bjwk[-_]?set[-_]?uri",
        r"(?i)could not resolve placeholder '[^']*jwk-?set-?uri[^']*'",
        r"bean of type '[\w.]*JwtDecoder' that could not be found",
        r"No qualifying bean of type '[\w.]*JwtDecoder'",
    ),
    _rule(
        "issuer_mismatch",
        "the issuer that is configured ({url}) is not the one that the token server names",
        r'The Issuer "(?P<url>[^"]+)" provided in the configuration (?:metadata )?did not match',
    ),
    _rule(
        "keycloak_unreachable",
        "the token server at {url} does not answer",
        r'I/O error on GET request for "(?P<url>[^"]+)"',
        r'Unable to resolve the Configuration with the provided Issuer of "?(?P<url>[^"\s]+)"?',
        r"(?P<url>https?://\S*/(?:realms/|\.well-known/)[^\s\"':]*)",
        context=(_IDENTITY,),
    ),
    _rule(
        "keycloak_unreachable",
        "the token server does not give its keys",
        r"Couldn't retrieve remote JWK set|Failed to lazily resolve the supplied JwtDecoder",
    ),
    _rule(
        "keycloak_unreachable",
        "the token server {host} has no address",
        rf"UnknownHostException:? {_HOST}",
        context=(_IDENTITY,),
    ),
    _rule(
        "config_missing",
        "{name} is not set",
        r"Could not resolve placeholder '(?P<name>[^']+)'",
        r"^(?:KeyError|KeyException): '(?P<name>[A-Z][A-Z0-9_]+)'",
        r"(?i)environment variables? ['\"]?(?P<name>(?-i:[A-Z][A-Z0-9_]{2,}))['\"]? (?:is |was |must be )?"
        r"(?:not (?:set|found|defined)|missing|required|undefined|unset|set\b)",
        r"(?i)(?:missing|required|undefined|unset|no)\b.{0,30}\benv(?:ironment)?(?: variables?)?\b:? ?['\"]?(?P<name>(?-i:[A-Z][A-Z0-9_]{2,}))",
        r"(?P<name>[A-Z][A-Z0-9_]{2,}): (?:unbound variable|parameter (?:null or )?not set)",
    ),
    _rule(
        "config_missing",
        "{name} cannot be found",
        r"Config data (?:resource|location) '(?P<name>[^']+)'.*(?:cannot be found|does not exist)",
        r"ConfigDataResourceNotFoundException: (?P<name>\S+)",
    ),
    _rule(
        "config_invalid",
        "the configuration[[ {name}]] is not valid[[: {detail}]]",
        r"Failed to bind properties under '(?P<name>[^']+)' to (?P<detail>.{1,200})",
        r"(?P<detail>\d+ validation errors? for \w*(?:Settings|Config)\w*)",
        r"Could not bind properties to '(?P<name>[^']+)'(?P<detail>.{0,160})",
        r"(?P<detail>(?:ScannerException|ParserException|while scanning|mapping values are not allowed).{0,120})",
        r"ConfigException: (?P<detail>(?!No resolvable|Invalid url in).{1,160})",
        r"Failed to convert (?:property )?value of type (?P<detail>.{1,160})",
        r"NumberFormatException: (?P<detail>.{1,100})",
    ),
    _rule(
        "port_in_use",
        "its port[[ {port}]] is held by another process of the pod",
        r"Port (?P<port>\d+) (?:was|is) already in use",
        r"EADDRINUSE.*?:(?P<port>\d+)",
        r"[Aa]ddress already in use(?:.*?:(?P<port>\d+))?",
    ),
    _rule(
        "kafka_auth_failed",
        "the broker does not accept the credentials, or lacks an ACL: {detail}",
        r"(?P<detail>SaslAuthenticationException: .{1,120})",
        r"(?P<detail>(?:Topic|Group|Cluster|TransactionalId)AuthorizationException: .{1,120})",
        r"(?P<detail>Not authorized to access (?:topics?|group)s?: .{1,80})",
        r"(?P<detail>TOPIC_AUTHORIZATION_FAILED|GROUP_AUTHORIZATION_FAILED|SASL authentication error.{0,80})",
    ),
    _rule(
        "kafka_topic_missing",
        "the topic[[ {name}]] does not exist",
        r"Topic\(s\) \[(?P<name>[^\]]*)\] is/are not present",
        r"Topic (?P<name>\S+) not present in metadata after",
        r"UnknownTopicOrPartition(?:Exception|Error)",
    ),
    _rule(
        "kafka_unreachable",
        "the broker {host}:{port} cannot be reached",
        rf"Couldn't resolve server {_HOST}:(?P<port>\d+) from bootstrap\.servers",
        rf"Connection to node -?\d+ \({_HOST}(?:/[^)]*?)?:(?P<port>\d+)\) (?:could not be established|terminated during authentication)",
        rf"Bootstrap broker {_HOST}:(?P<port>\d+) .*disconnected",
        rf"ECONNREFUSED {_HOST}:(?P<port>9092)\b",
        rf"dial tcp {_HOST}:(?P<port>9092)",
        rf"(?:localhost|[\w.-]+)?:?{_HOST}:(?P<port>9092)/(?:bootstrap|\d+): Connect to .* failed",
    ),
    _rule(
        "kafka_unreachable",
        "no broker of the bootstrap list can be reached",
        r"No resolvable bootstrap urls|Invalid url in bootstrap\.servers",
        r"NoBrokersAvailable|_ALL_BROKERS_DOWN|KafkaTimeoutError|KafkaConnectionError",
        r"Timed out waiting for a node assignment|Timeout expired while fetching topic metadata",
    ),
    _rule(
        "kafka_unreachable",
        "the broker {host} has no address",
        rf"UnknownHostException:? {_HOST}",
        context=(_KAFKA,),
    ),
    _rule(
        "redis_auth_failed",
        "Redis does not accept the password",
        r"\bNOAUTH\b|\bWRONGPASS\b|ERR invalid password|ERR AUTH|invalid username-password pair",
    ),
    _rule(
        "redis_unreachable",
        "Redis at {host}:{port} cannot be reached",
        rf"Unable to connect to (?:\[)?{_HOST}(?:/\S+?)?:(?P<port>\d+)",
        rf"Error \S+ connecting to {_HOST}:(?P<port>\d+)",
        rf"ECONNREFUSED {_HOST}:(?P<port>6379)\b",
        rf"dial tcp {_HOST}:(?P<port>6379)",
        context=(_REDIS,),
    ),
    _rule(
        "redis_unreachable",
        "Redis cannot be reached",
        r"RedisConnection(?:Failure)?Exception|JedisConnectionException|MaxRetriesPerRequestError",
    ),
    _rule("disk_full", "a disk is full", r"No space left on device|ENOSPC|Disk quota exceeded"),
    _rule(
        "read_only_filesystem",
        "the process writes where it may only read[[: {path}]]",
        r"(?:(?P<path>/[\w./-]+)['\"]?:? ?\(?)?Read-only file system",
        r"EROFS: read-only file system(?:, \w+ '(?P<path>[^']+)')?|ReadOnlyFileSystemException",
    ),
    _rule(
        "wrong_architecture",
        "the image is for another kind of processor",
        r"exec format error|cannot execute binary file|rosetta error",
    ),
    _rule(
        "command_not_found",
        "the command {name} is not in the image",
        r'exec: "(?P<name>[^"]+)": (?:executable file not found in \$PATH|stat .*no such file or directory)',
        r"^(?:/\S+: )?(?:line )?(?:\d+: )?(?P<name>[\w./-]+): (?:command )?not found$",
        r"^exec (?P<name>\S+): no such file or directory",
    ),
    _rule(
        "permission_denied",
        "the process may not do what it tries[[: {path}]]",
        r"AccessDeniedException: (?P<path>/\S+)",
        r"FileNotFoundException: (?P<path>/.+?) \(Permission denied\)",
        r"\[Errno 13\] Permission denied: '(?P<path>[^']+)'",
        r"EACCES: permission denied(?:, \w+ '?(?P<path>[^'\s]+)'?)?",
        r"(?:exec |^(?:/\S+: )?(?:\d+: )?)\"?(?P<path>/?[\w./-]+)\"?: [Pp]ermission denied",
        r"(?:bind|listen|BindException|SocketException)\b.{0,80}[Pp]ermission denied",
    ),
    _rule(
        "jvm_options_invalid",
        "the Java virtual machine does not take its options: {detail}",
        r"(?P<detail>Unrecognized (?:VM )?option:? .{1,80})",
        r"(?P<detail>Invalid (?:maximum|initial) heap size: .{1,60})",
        r"(?P<detail>Initial heap size set to a larger value than the maximum heap size)",
        r"(?P<detail>Could not reserve enough space for .{1,60}object heap)",
        r"(?P<detail>Improperly specified VM option .{1,80})",
        r"(?P<detail>Error opening zip file or JAR manifest missing.{0,80})",
        r"(?P<detail>Could not create the Java Virtual Machine)",
    ),
    _rule(
        "java_version",
        "the code was built for a newer Java than the image has",
        r"UnsupportedClassVersionError|has been compiled by a more recent version of the Java Runtime",
    ),
    _rule(
        "artifact_missing",
        "{path} is not there or cannot be started",
        r"Unable to access jarfile (?P<path>\S+)",
        r"no main manifest attribute, in (?P<path>\S+)",
        r"Invalid or corrupt jarfile (?P<path>\S+)",
        r"Could not find or load main class (?P<path>\S+)",
        r"can't open file '(?P<path>[^']+)'",
    ),
    _rule(
        "code_missing",
        "code that it needs is not in the image: {name}",
        r"No module named '?(?P<name>[\w.]+)'?",
        r"Cannot find (?:module|package) '(?P<name>[^']+)'",
        r"(?:ClassNotFoundException|NoClassDefFoundError): (?P<name>[\w./$]+)",
        r"(?:NoSuchMethodError|NoSuchFieldError|AbstractMethodError): (?P<name>.{1,120})",
        r"error while loading shared libraries: (?P<name>\S+?):",
    ),
    _rule(
        "certificate_expired",
        "a certificate has expired",
        r"[Cc]ertificate has expired|CertificateExpiredException|certificate_expired|CERT_HAS_EXPIRED",
    ),
    _rule(
        "tls_untrusted",
        "the certificate of a server is not trusted",
        r"PKIX path building failed|unable to find valid certification path|CERTIFICATE_VERIFY_FAILED",
        r"unable to (?:get local issuer|verify the first) certificate|self[- ]signed certificate",
        r"x509: certificate signed by unknown authority|DEPTH_ZERO_SELF_SIGNED_CERT",
    ),
    _rule(
        "bean_failed",
        "the application's wiring is wrong[[: {detail}]]",
        r"(?P<detail>The bean '[^']+'.{0,200}could not be registered)",
        r"(?P<detail>Annotation-specified bean name '[^']+'.{0,200} conflicts with existing)",
        r"(?P<detail>.{0,120}required a (?:bean of type '[^']+' that could not be found|single bean, but \d+ were found))",
        r"(?P<detail>The dependencies of some of the beans in the application context form a cycle)",
        r"NoSuchBeanDefinitionException: (?P<detail>.{1,200})|NoUniqueBeanDefinitionException: .{1,200}",
        r"BeanDefinitionOverrideException: (?P<detail>.{1,200})",
    ),
    _rule(
        "host_unknown",
        "the host[[ {host}]] that it calls has no address",
        rf"UnknownHostException:? {_HOST}",
        rf"getaddrinfo (?:ENOTFOUND|EAI_AGAIN) {_HOST}",
        rf"lookup {_HOST}(?: on \S+)?: no such host",
        r"Name or service not known|Temporary failure in name resolution",
        broad=True,
    ),
    _rule(
        "connection_refused",
        "what it calls refuses connections[[: {host}:{port}]]",
        rf"ECONNREFUSED {_HOST}:(?P<port>\d+)",
        rf"dial tcp {_HOST}:(?P<port>\d+): connect: connection refused",
        rf"Connect(?:ion)? (?:call failed|to) (?:\(')?{_HOST}(?:', |:)(?P<port>\d+)\)?.{{0,40}}(?:refused|failed)?",
        r"Connection refused",
        broad=True,
    ),
    _rule(
        "bean_failed",
        "the bean {name} cannot be made",
        r"Error creating bean with name '(?P<name>[^']+)'",
        broad=True,
    ),
)


@dataclass(frozen=True)
class Reading:
    """What a log means: the cause, in words, and the statement that shows it. ``sure`` when that is an error or an
    exception of the last breath, not a warning, or something that was said earlier."""

    cause: str
    text: str
    statement: Statement
    sure: bool
    values: Mapping[str, str]


def read(found: list[Statement], total_lines: int) -> list[Reading]:
    """The most telling thing that a rule knows; ``found`` as log_failures.statements orders it.

    An exception at the end that no rule knows comes first, and what was said before it is then a guess, second.
    """
    strong = [one for one in found if one.kind in ("report", "exception", "error")]
    readings: list[Reading] = []
    for number, breath in enumerate(_breaths(strong)):
        known = _known(breath, sure=number == 0)
        if known:
            return [*readings, known]
        if not readings and _fatal(breath, total_lines):
            readings.append(_unhandled(breath))
    weak = [one for one in found if one.kind in ("warning", "line")]
    known = next((reading for one in weak if (reading := _known([one], sure=False, broad=False))), None)
    return [*readings, *([known] if known else [])]


def _breaths(found: list[Statement]) -> Iterator[list[Statement]]:
    """Statements that were made together: one report, one chain of exceptions, or one line."""
    for _key, group in groupby(found, key=lambda one: one.chain or one.line):
        yield list(group)


def _known(breath: list[Statement], sure: bool, broad: bool = True) -> Reading | None:
    for broadly in (False, True) if broad else (False,):
        for statement in breath:
            text = " ".join(statement.text.split())
            for rule in RULES:
                match = rule.match(text, statement.context) if rule.broad == broadly else None
                if match:
                    return _reading(rule, match, breath[0] if broadly else statement, sure)
    return None


def _reading(rule: Rule, match: re.Match[str], statement: Statement, sure: bool) -> Reading:
    values = {name: observed(value, 300) for name, value in match.groupdict().items() if value}
    root = statement.shown(200)
    said = f": {root}" if rule.broad and match[0] not in root else ""
    return Reading(rule.cause, filled(rule.says, values) + said, statement, sure, values)


def filled(says: str, values: Mapping[str, str]) -> str:
    """The sentence of a rule with its values, which may hold braces of their own."""

    def part(match: re.Match[str]) -> str:
        return match[1] if all(name in values for name in _NAME.findall(match[1])) else ""

    return _NAME.sub(lambda match: values.get(match[1], ""), _OPTIONAL.sub(part, says))


def _fatal(breath: list[Statement], total_lines: int) -> bool:
    """An exception at the end of the log, after which the process said nothing more of weight."""
    return breath[0].kind == "exception" and total_lines - max(one.line for one in breath) <= NEAR_THE_END


def _unhandled(breath: list[Statement]) -> Reading:
    root = breath[0]
    return Reading("unhandled_exception", f"it ended in {root.shown(300)}", root, False, {})
