"""ApiVersions: what is served, derived from the handler table (KIP-35, KIP-511)."""
import re
from collections.abc import Mapping

from ..errors import ErrorCode
from ..messages import ApiVersionsRequest, ApiVersionsResponse
from ..messages.api_versions import ApiVersion

Ranges = Mapping[int, tuple[int, int]]
_SOFTWARE = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?")


def api_versions(request: ApiVersionsRequest, version: int, served: Ranges) -> ApiVersionsResponse:
    """The ranges of all that is served. From v3 on a client says its name, which must look like one."""
    if version >= 3 and not (_SOFTWARE.fullmatch(request.client_software_name)
                             and _SOFTWARE.fullmatch(request.client_software_version)):
        return ApiVersionsResponse(error_code=ErrorCode.INVALID_REQUEST)
    return ApiVersionsResponse(api_keys=[ApiVersion(key, low, high) for key, (low, high) in sorted(served.items())])


def unsupported_version(served: Ranges) -> ApiVersionsResponse:
    """For a version from the future: the answer, in v0, says which ones are understood (KIP-511)."""
    key = ApiVersionsRequest.API_KEY
    return ApiVersionsResponse(error_code=ErrorCode.UNSUPPORTED_VERSION, api_keys=[ApiVersion(key, *served[key])])
