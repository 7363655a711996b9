"""DescribeConfigs (key 32). Generated from schema.txt by generate.py; do not edit."""
from dataclasses import dataclass, field
from struct import Struct
from typing import ClassVar

from ..primitives import Reader, put_count, put_string

_T = Struct(">?")
_TBT = Struct(">?b?")
_B = Struct(">b")
_H = Struct(">h")
_I = Struct(">i")


@dataclass(slots=True)
class DescribeConfigsResource:
    """`resources` of DescribeConfigsRequest."""

    resource_type: int = 0
    resource_name: str = ""
    configuration_keys: list[str] | None = field(default_factory=list)

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 4
        out += _B.pack(self.resource_type)
        put_string(out, self.resource_name, flexible)
        put_count(out, -1 if self.configuration_keys is None else len(self.configuration_keys), flexible)
        if self.configuration_keys is not None:
            for text in self.configuration_keys:
                put_string(out, text, flexible)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "DescribeConfigsResource":
        self = cls()
        flexible = version >= 4
        self.resource_type, = r.fixed(_B)
        self.resource_name = r.string(flexible)
        count = r.nullable_count(flexible, 1)
        self.configuration_keys = None if count < 0 else [r.string(flexible) for _ in range(count)]
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class DescribeConfigsRequest:
    """DescribeConfigs v1-v4, request."""

    API_KEY: ClassVar[int] = 32
    VERSIONS: ClassVar[range] = range(1, 5)
    FLEXIBLE_FROM: ClassVar[int] = 4
    resources: list[DescribeConfigsResource] = field(default_factory=list)
    include_synonyms: bool = False
    include_documentation: bool = False

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 4
        put_count(out, len(self.resources), flexible)
        for describe_configs_resource in self.resources:
            describe_configs_resource.encode(out, version)
        out += _T.pack(self.include_synonyms)
        if version >= 3:
            out += _T.pack(self.include_documentation)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "DescribeConfigsRequest":
        self = cls()
        flexible = version >= 4
        count = r.count(flexible, 3)
        self.resources = [DescribeConfigsResource.decode(r, version) for _ in range(count)]
        self.include_synonyms, = r.fixed(_T)
        if version >= 3:
            self.include_documentation, = r.fixed(_T)
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class DescribeConfigsSynonym:
    """`synonyms` of DescribeConfigsResourceResult."""

    name: str = ""
    value: str | None = ""
    source: int = 0

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 4
        put_string(out, self.name, flexible)
        put_string(out, self.value, flexible)
        out += _B.pack(self.source)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "DescribeConfigsSynonym":
        self = cls()
        flexible = version >= 4
        self.name = r.string(flexible)
        self.value = r.nullable_string(flexible)
        self.source, = r.fixed(_B)
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class DescribeConfigsResourceResult:
    """`configs` of DescribeConfigsResult."""

    name: str = ""
    value: str | None = ""
    read_only: bool = False
    config_source: int = -1
    is_sensitive: bool = False
    synonyms: list[DescribeConfigsSynonym] = field(default_factory=list)
    config_type: int = 0
    documentation: str | None = ""

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 4
        put_string(out, self.name, flexible)
        put_string(out, self.value, flexible)
        out += _TBT.pack(self.read_only, self.config_source, self.is_sensitive)
        put_count(out, len(self.synonyms), flexible)
        for describe_configs_synonym in self.synonyms:
            describe_configs_synonym.encode(out, version)
        if version >= 3:
            out += _B.pack(self.config_type)
            put_string(out, self.documentation, flexible)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "DescribeConfigsResourceResult":
        self = cls()
        flexible = version >= 4
        self.name = r.string(flexible)
        self.value = r.nullable_string(flexible)
        self.read_only, self.config_source, self.is_sensitive = r.fixed(_TBT)
        count = r.count(flexible, 3)
        self.synonyms = [DescribeConfigsSynonym.decode(r, version) for _ in range(count)]
        if version >= 3:
            self.config_type, = r.fixed(_B)
            self.documentation = r.nullable_string(flexible)
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class DescribeConfigsResult:
    """`results` of DescribeConfigsResponse."""

    error_code: int = 0
    error_message: str | None = ""
    resource_type: int = 0
    resource_name: str = ""
    configs: list[DescribeConfigsResourceResult] = field(default_factory=list)

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 4
        out += _H.pack(self.error_code)
        put_string(out, self.error_message, flexible)
        out += _B.pack(self.resource_type)
        put_string(out, self.resource_name, flexible)
        put_count(out, len(self.configs), flexible)
        for describe_configs_resource_result in self.configs:
            describe_configs_resource_result.encode(out, version)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "DescribeConfigsResult":
        self = cls()
        flexible = version >= 4
        self.error_code, = r.fixed(_H)
        self.error_message = r.nullable_string(flexible)
        self.resource_type, = r.fixed(_B)
        self.resource_name = r.string(flexible)
        count = r.count(flexible, 6)
        self.configs = [DescribeConfigsResourceResult.decode(r, version) for _ in range(count)]
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class DescribeConfigsResponse:
    """DescribeConfigs v1-v4, response."""

    API_KEY: ClassVar[int] = 32
    VERSIONS: ClassVar[range] = range(1, 5)
    FLEXIBLE_FROM: ClassVar[int] = 4
    throttle_time_ms: int = 0
    results: list[DescribeConfigsResult] = field(default_factory=list)

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 4
        out += _I.pack(self.throttle_time_ms)
        put_count(out, len(self.results), flexible)
        for describe_configs_result in self.results:
            describe_configs_result.encode(out, version)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "DescribeConfigsResponse":
        self = cls()
        flexible = version >= 4
        self.throttle_time_ms, = r.fixed(_I)
        count = r.count(flexible, 6)
        self.results = [DescribeConfigsResult.decode(r, version) for _ in range(count)]
        if flexible:
            r.skip_tags()
        return self
