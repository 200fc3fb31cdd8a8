"""AWS Secrets Manager: one secret a vendor, `<prefix>/<vendor>`, holding a JSON object of its fields.

Who we are, botocore finds out as every AWS program does: the pod's or the machine's role, or the environment.
"""

from __future__ import annotations

import logging
from typing import Any, cast

from backoffice_shared.credentials.source import MissingCredential
from backoffice_shared.credentials.store import NOTHING, THREADS, Fetched, stored_json
from backoffice_shared.errors import InvalidInput, PermissionDenied
from backoffice_shared.jsonvalues import obj

try:
    import botocore.session
    from botocore.config import Config
    from botocore.exceptions import ClientError, NoRegionError
except ImportError as missing:
    raise InvalidInput(
        "",
        f"AWS Secrets Manager needs a library that is not installed ({missing.name})",
        hint="Install backoffice-shared[aws]",
    ) from None

_GONE = ("ResourceNotFoundException", "InvalidRequestException")  # the second: it is to be deleted
_DENIED = ("AccessDeniedException", "AccessDenied", "DecryptionFailure")


class AwsStore:
    """`client` is one of botocore for `secretsmanager`."""

    title = "AWS Secrets Manager"

    def __init__(self, client: Any, *, prefix: str) -> None:
        # Its debug log shows whole answers.
        logging.getLogger("botocore").setLevel(logging.INFO)
        self._client = client
        self._prefix = prefix

    def place(self, vendor: str) -> str:
        return f"{self._prefix}/{vendor}"

    def fetch(self, vendor: str) -> Fetched:
        place = self.place(vendor)
        try:
            wire = self._client.get_secret_value(SecretId=place)
        except ClientError as error:
            code = obj(obj(cast("object", error.response)).get("Error")).get("Code")
            if code in _GONE:
                return NOTHING
            if code in _DENIED:
                raise PermissionDenied(self.title, f"does not let this server read {place} ({code})") from None
            raise
        if "SecretString" not in wire:
            raise MissingCredential(self.title, f"{place} does not hold text")
        return Fetched(stored_json(wire["SecretString"], wire["VersionId"], place))

    def close(self) -> None:
        self._client.close()


def aws_client(region: str | None, **given: Any) -> Any:
    """A client that gives up within seconds. Without `region`, the one that the environment names.

    Raises:
        InvalidInput: nothing names a region.
    """
    config = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 1}, max_pool_connections=THREADS)
    try:
        session: Any = botocore.session.Session()
        return session.create_client("secretsmanager", region_name=region, config=config, **given)
    except NoRegionError:
        raise InvalidInput("", "AWS Secrets Manager needs a region", hint="Set BACKOFFICE_AWS_REGION") from None
