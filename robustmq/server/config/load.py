"""Read, merge and check: a `Config`, or a `ConfigError` that names source, key, value and what is allowed.

Files are read once, at start. Later sources win: defaults, TOML file, environment, --set.
"""
from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from robustmq.server.config.kinds import endpoint
from robustmq.server.config.sections import SECTIONS, Config, kind_of
from robustmq.server.config.sections import Mapping as Rule
from robustmq.server.errors import StartError

ENVIRONMENT = "ROBUSTMQ_"
QUEUED_BYTES = 32           # of a message in the snapshot of its session (docs/formats/sessions.md)
Values = dict[str, dict[str, Any]]


class ConfigError(StartError):
    """A configuration that cannot be used."""


def load(file: Path | None, environment: Mapping[str, str], settings: Iterable[str]) -> Config:
    """The configuration of this start. ConfigError."""
    values: Values = {section: {} for section in SECTIONS}
    rules: tuple[Rule, ...] = ()
    if file is not None:
        rules = merge_file(values, file)
    merge_environment(values, environment)
    for setting in settings:
        merge_setting(values, setting)
    if values["storage"].get("store") == "memory":
        values["storage"].setdefault("durability", "memory")
    config = Config(**{section: kind(**values[section]) for section, kind in SECTIONS.items()}, mapping=rules)
    check_whole(config)
    return config


def merge_file(values: Values, file: Path) -> tuple[Rule, ...]:
    """Take the keys of a TOML file; returns its [[mapping]] rules."""
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"configuration file {file} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"configuration file {file} is not TOML: {error}") from error
    raw_rules = document.pop("mapping", [])
    for section, keys in document.items():
        known = known_section(section, str(file))
        if not isinstance(keys, dict):
            raise ConfigError(f"{file}: {section} is a section: write [{section}] and its keys below")
        for name, raw in keys.items():
            values[known][name] = parsed(SECTIONS[known], known, name, raw, str(file))
    if not isinstance(raw_rules, list) or not all(isinstance(rule, dict) for rule in raw_rules):
        raise ConfigError(f"{file}: mapping rules are written as [[mapping]], one for each rule")
    return tuple(rule_of(rule, number, str(file)) for number, rule in enumerate(raw_rules, 1))


def rule_of(raw: dict[str, Any], number: int, source: str) -> Rule:
    """One [[mapping]] rule."""
    section = f"mapping #{number}"
    rule: dict[str, Any] = {name: parsed(Rule, section, name, value, source) for name, value in raw.items()}
    for needed in ("filter", "topic"):
        if needed not in rule:
            raise ConfigError(f"{source}: {section} has no {needed}")
    return Rule(**rule)


def merge_environment(values: Values, environment: Mapping[str, str]) -> None:
    """Take ROBUSTMQ_SECTION_KEY. A variable whose second word is no section is somebody else's."""
    for variable in sorted(environment):
        if variable.startswith(ENVIRONMENT):
            section, _, name = variable.removeprefix(ENVIRONMENT).lower().partition("_")
            if section in SECTIONS and name:
                values[section][name] = parsed(SECTIONS[section], section, name, environment[variable], variable)


def merge_setting(values: Values, setting: str) -> None:
    """Take one --set section.key=value."""
    path, equals, raw = setting.partition("=")
    section, dot, name = path.strip().partition(".")
    if not equals or not dot:
        raise ConfigError(f"--set {setting}: write it as section.key=value, like mqtt.max_queued=5000")
    known = known_section(section, "--set")
    values[known][name] = parsed(SECTIONS[known], known, name, raw, "--set")


def known_section(section: str, source: str) -> str:
    """The section's name. ConfigError with the nearest one when there is none."""
    if section in SECTIONS:
        return section
    raise ConfigError(f"{source}: there is no section {section}{nearest(section, list(SECTIONS))}; "
                      f"sections are {', '.join(SECTIONS)}")


def parsed(kind: type[Any], section: str, name: str, raw: object, source: str) -> object:
    """The value of one key, checked."""
    keys = {item.name: item for item in fields(kind)}
    if name not in keys:
        raise ConfigError(f"{source}: {section} has no key {name}{nearest(name, list(keys))}; "
                          "robustmq-server --print-config lists all")
    try:
        return kind_of(keys[name]).parse(raw)
    except ValueError as error:
        raise ConfigError(f"{source}: {section}.{name} = {raw!r} is not possible; allowed is {error}") from error


def nearest(name: str, known: list[str]) -> str:
    """", did you mean X?" when something is near."""
    close = get_close_matches(name, known, 1)
    return f" (did you mean {close[0]}?)" if close else ""


def check_whole(config: Config) -> None:
    """What no key alone can say."""
    storage = config.storage
    if storage.store == "memory" and storage.durability != "memory":
        raise ConfigError(f'storage.durability = "{storage.durability}" needs storage.store = "wal"; '
                          'a memory store keeps only storage.durability = "memory"')
    if storage.store == "memory" and config.tier.url:
        raise ConfigError(f'tier.url = "{config.tier.url}" needs storage.store = "wal": memory has nothing to tier')
    for name, size in (("kafka.message_max_bytes", config.kafka.message_max_bytes),
                       ("mqtt.max_packet_size", config.mqtt.max_packet_size)):
        if size > storage.segment_bytes // 4:
            raise ConfigError(f"{name} = {size} is more than a quarter of storage.segment_bytes; allowed is at most "
                              f"{storage.segment_bytes // 4}, or larger segments")
    if config.mqtt.max_queued * QUEUED_BYTES > storage.segment_bytes // 4:
        raise ConfigError(f"mqtt.max_queued = {config.mqtt.max_queued} is more than a session's snapshot has room "
                          "for, a quarter of storage.segment_bytes; allowed is at most "
                          f"{storage.segment_bytes // 4 // QUEUED_BYTES}, or larger segments")
    if storage.journal_bytes < 2 * storage.segment_bytes:
        raise ConfigError(f"storage.journal_bytes = {storage.journal_bytes} is less than two segments; allowed is at "
                          f"least {2 * storage.segment_bytes}, or a smaller storage.segment_bytes")
    if config.kafka.advertised and (endpoint(config.kafka.advertised) or ("", 0))[1] == 0:
        raise ConfigError(f'kafka.advertised = "{config.kafka.advertised}" is not possible; allowed is a port from 1')
    if config.kafka.group_min_session_timeout_ms > config.kafka.group_max_session_timeout_ms:
        raise ConfigError(f"kafka.group_min_session_timeout_ms = {config.kafka.group_min_session_timeout_ms} is above "
                          f"kafka.group_max_session_timeout_ms = {config.kafka.group_max_session_timeout_ms}")
    if config.mqtt.tls_key and not config.mqtt.tls_cert:
        raise ConfigError(f'mqtt.tls_key = "{config.mqtt.tls_key}" needs mqtt.tls_cert, its certificate')
