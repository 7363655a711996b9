"""ApiVersions (key 18). Generated from schema.txt by generate.py; do not edit."""
from dataclasses import dataclass, field
from struct import Struct
from typing import ClassVar

from ..primitives import Reader, put_count, put_string, put_tags

_T = Struct(">?")
_H = Struct(">h")
_HH = Struct(">hh")
_HHH = Struct(">hhh")
_I = Struct(">i")
_Q = Struct(">q")


@dataclass(slots=True)
class ApiVersionsRequest:
    """ApiVersions v0-v4, request."""

    API_KEY: ClassVar[int] = 18
    VERSIONS: ClassVar[range] = range(5)
    FLEXIBLE_FROM: ClassVar[int] = 3
    client_software_name: str = ""
    client_software_version: str = ""

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 3
        if version >= 3:
            put_string(out, self.client_software_name, flexible)
            put_string(out, self.client_software_version, flexible)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "ApiVersionsRequest":
        self = cls()
        flexible = version >= 3
        if version >= 3:
            self.client_software_name = r.string(flexible)
            self.client_software_version = r.string(flexible)
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class ApiVersion:
    """`api_keys` of ApiVersionsResponse."""

    api_key: int = 0
    min_version: int = 0
    max_version: int = 0

    def encode(self, out: bytearray, version: int) -> None:
        out += _HHH.pack(self.api_key, self.min_version, self.max_version)
        if version >= 3:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "ApiVersion":
        self = cls()
        self.api_key, self.min_version, self.max_version = r.fixed(_HHH)
        if version >= 3:
            r.skip_tags()
        return self


@dataclass(slots=True)
class SupportedFeatureKey:
    """`supported_features` of ApiVersionsResponse."""

    name: str = ""
    min_version: int = 0
    max_version: int = 0

    def encode(self, out: bytearray, version: int) -> None:
        put_string(out, self.name, True)
        out += _HH.pack(self.min_version, self.max_version)
        out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "SupportedFeatureKey":
        self = cls()
        self.name = r.string(True)
        self.min_version, self.max_version = r.fixed(_HH)
        r.skip_tags()
        return self


@dataclass(slots=True)
class FinalizedFeatureKey:
    """`finalized_features` of ApiVersionsResponse."""

    name: str = ""
    max_version_level: int = 0
    min_version_level: int = 0

    def encode(self, out: bytearray, version: int) -> None:
        put_string(out, self.name, True)
        out += _HH.pack(self.max_version_level, self.min_version_level)
        out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "FinalizedFeatureKey":
        self = cls()
        self.name = r.string(True)
        self.max_version_level, self.min_version_level = r.fixed(_HH)
        r.skip_tags()
        return self


@dataclass(slots=True)
class ApiVersionsResponse:
    """ApiVersions v0-v4, response."""

    API_KEY: ClassVar[int] = 18
    VERSIONS: ClassVar[range] = range(5)
    FLEXIBLE_FROM: ClassVar[int] = 3
    error_code: int = 0
    api_keys: list[ApiVersion] = field(default_factory=list)
    throttle_time_ms: int = 0
    supported_features: list[SupportedFeatureKey] = field(default_factory=list)
    finalized_features_epoch: int = -1
    finalized_features: list[FinalizedFeatureKey] = field(default_factory=list)
    zk_migration_ready: bool = False

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 3
        out += _H.pack(self.error_code)
        put_count(out, len(self.api_keys), flexible)
        for api_version in self.api_keys:
            api_version.encode(out, version)
        if version >= 1:
            out += _I.pack(self.throttle_time_ms)
        if flexible:
            tags = []
            if self.supported_features:
                value = bytearray()
                put_count(value, len(self.supported_features), True)
                for supported_feature_key in self.supported_features:
                    supported_feature_key.encode(value, version)
                tags.append((0, value))
            if self.finalized_features_epoch != -1:
                value = bytearray()
                value += _Q.pack(self.finalized_features_epoch)
                tags.append((1, value))
            if self.finalized_features:
                value = bytearray()
                put_count(value, len(self.finalized_features), True)
                for finalized_feature_key in self.finalized_features:
                    finalized_feature_key.encode(value, version)
                tags.append((2, value))
            if self.zk_migration_ready:
                value = bytearray()
                value += _T.pack(self.zk_migration_ready)
                tags.append((3, value))
            put_tags(out, tags)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "ApiVersionsResponse":
        self = cls()
        flexible = version >= 3
        self.error_code, = r.fixed(_H)
        count = r.count(flexible, 6)
        self.api_keys = [ApiVersion.decode(r, version) for _ in range(count)]
        if version >= 1:
            self.throttle_time_ms, = r.fixed(_I)
        if flexible:
            for tag in r.tags():
                if tag == 0:
                    count = r.count(True, 5)
                    self.supported_features = [SupportedFeatureKey.decode(r, version) for _ in range(count)]
                elif tag == 1:
                    self.finalized_features_epoch, = r.fixed(_Q)
                elif tag == 2:
                    count = r.count(True, 5)
                    self.finalized_features = [FinalizedFeatureKey.decode(r, version) for _ in range(count)]
                elif tag == 3:
                    self.zk_migration_ready, = r.fixed(_T)
        return self
