"""AlterConfigs (key 33). Generated from schema.txt by generate.py; do not edit."""
from dataclasses import dataclass, field
from struct import Struct
from typing import ClassVar

from ..primitives import Reader, put_count, put_string

_T = Struct(">?")
_B = Struct(">b")
_H = Struct(">h")
_I = Struct(">i")


@dataclass(slots=True)
class AlterableConfig:
    """`configs` of AlterConfigsResource."""

    name: str = ""
    value: str | None = ""

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 2
        put_string(out, self.name, flexible)
        put_string(out, self.value, flexible)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "AlterableConfig":
        self = cls()
        flexible = version >= 2
        self.name = r.string(flexible)
        self.value = r.nullable_string(flexible)
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class AlterConfigsResource:
    """`resources` of AlterConfigsRequest."""

    resource_type: int = 0
    resource_name: str = ""
    configs: list[AlterableConfig] = field(default_factory=list)

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 2
        out += _B.pack(self.resource_type)
        put_string(out, self.resource_name, flexible)
        put_count(out, len(self.configs), flexible)
        for alterable_config in self.configs:
            alterable_config.encode(out, version)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "AlterConfigsResource":
        self = cls()
        flexible = version >= 2
        self.resource_type, = r.fixed(_B)
        self.resource_name = r.string(flexible)
        count = r.count(flexible, 2)
        self.configs = [AlterableConfig.decode(r, version) for _ in range(count)]
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class AlterConfigsRequest:
    """AlterConfigs v0-v2, request."""

    API_KEY: ClassVar[int] = 33
    VERSIONS: ClassVar[range] = range(3)
    FLEXIBLE_FROM: ClassVar[int] = 2
    resources: list[AlterConfigsResource] = field(default_factory=list)
    validate_only: bool = False

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 2
        put_count(out, len(self.resources), flexible)
        for alter_configs_resource in self.resources:
            alter_configs_resource.encode(out, version)
        out += _T.pack(self.validate_only)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "AlterConfigsRequest":
        self = cls()
        flexible = version >= 2
        count = r.count(flexible, 3)
        self.resources = [AlterConfigsResource.decode(r, version) for _ in range(count)]
        self.validate_only, = r.fixed(_T)
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class AlterConfigsResourceResponse:
    """`responses` of AlterConfigsResponse."""

    error_code: int = 0
    error_message: str | None = ""
    resource_type: int = 0
    resource_name: str = ""

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 2
        out += _H.pack(self.error_code)
        put_string(out, self.error_message, flexible)
        out += _B.pack(self.resource_type)
        put_string(out, self.resource_name, flexible)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "AlterConfigsResourceResponse":
        self = cls()
        flexible = version >= 2
        self.error_code, = r.fixed(_H)
        self.error_message = r.nullable_string(flexible)
        self.resource_type, = r.fixed(_B)
        self.resource_name = r.string(flexible)
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class AlterConfigsResponse:
    """AlterConfigs v0-v2, response."""

    API_KEY: ClassVar[int] = 33
    VERSIONS: ClassVar[range] = range(3)
    FLEXIBLE_FROM: ClassVar[int] = 2
    throttle_time_ms: int = 0
    responses: list[AlterConfigsResourceResponse] = field(default_factory=list)

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 2
        out += _I.pack(self.throttle_time_ms)
        put_count(out, len(self.responses), flexible)
        for alter_configs_resource_response in self.responses:
            alter_configs_resource_response.encode(out, version)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "AlterConfigsResponse":
        self = cls()
        flexible = version >= 2
        self.throttle_time_ms, = r.fixed(_I)
        count = r.count(flexible, 5)
        self.responses = [AlterConfigsResourceResponse.decode(r, version) for _ in range(count)]
        if flexible:
            r.skip_tags()
        return self
