"""The object store of this process: one description of it, from which Spark, delta-rs and boto3 get their options.

Settings are read once a process and so is this (:func:`use`). Credentials come by AWS' usual chain (variables, profile,
web identity, container, instance), which each of the three asks by itself, so that one that expires is renewed.
"""

import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from lakehouse.errors import LakehouseError, UsageError
from lakehouse.messages import endings
from lakehouse.settings import certificates
from lakehouse.settings.sections import S3Settings

SCHEME = "s3a://"
EXTRA = "A root in an object store needs more: `make setup EXTRAS=s3`, or `pip install 'lakehouse[s3]'` for a wheel."
CREDENTIALS = "software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider"
"""AWS' own chain, in the JVM."""
UNSAFE = ("AWS_S3_ALLOW_UNSAFE_RENAME", "AWS_S3_LOCKING_PROVIDER", "AWS_CONDITIONAL_PUT")
NOT_AS_EXPECTED = ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey")
"""Another ETag, somebody who writes at the same moment, and nothing where an ETag was expected."""
WRONG = ("NoSuchBucket", "NoCredentials", "InvalidAccessKeyId", "SignatureDoesNotMatch")
"""What only another setting mends."""
ATTEMPTS = 6
"""Of each request, with growing pauses: a store that is asked too much says 503 for seconds."""


@dataclass(frozen=True)
class ObjectStore:
    """Where the store is and how it is spoken to; ``endpoint`` is None for AWS itself.

    ``ca_file``: certificates that are trusted beside the machine's.
    """

    chosen: ClassVar["ObjectStore | None"] = None
    endpoint: str | None
    region: str
    path_style: bool
    ca_file: Path | None

    @property
    def for_spark(self) -> dict[str, str]:
        """Settings of Spark."""
        prefix = "spark.hadoop.fs.s3a."
        found = {
            f"{prefix}endpoint.region": self.region,
            f"{prefix}path.style.access": str(self.path_style).lower(),
            f"{prefix}aws.credentials.provider": CREDENTIALS,
        }
        return found if self.endpoint is None else {f"{prefix}endpoint": self.endpoint, **found}

    @property
    def for_delta_rs(self) -> dict[str, str]:
        """Storage options of delta-rs. It commits by a conditional PUT, whatever old variables say."""
        found = {
            "aws_region": self.region,
            "aws_virtual_hosted_style_request": str(not self.path_style).lower(),
            "aws_conditional_put": "etag",
        }
        if self.endpoint is None:
            return found
        return {**found, "aws_endpoint": self.endpoint, "allow_http": str(not self._is_encrypted).lower()}

    @property
    def _is_encrypted(self) -> bool:
        return self.endpoint is None or urlsplit(self.endpoint).scheme == "https"

    @cached_property
    def client(self) -> Any:
        """boto3's client."""
        import boto3
        from botocore.config import Config

        style = "path" if self.path_style else "auto"
        retries = {"mode": "standard", "total_max_attempts": ATTEMPTS}
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=self.region,
            verify=str(certificates.bundle(self.ca_file)) if self.ca_file else None,
            config=Config(s3={"addressing_style": style}, retries=retries, connect_timeout=10, read_timeout=60),
        )


def use(section: S3Settings, environ: Mapping[str, str]) -> None:
    """From now on this is the store of this process.

    Raises:
        UsageError: the packages for it are not installed, or nothing says its region.
    """
    if importlib.util.find_spec("boto3") is None:
        raise UsageError(EXTRA)
    for name in UNSAFE:
        if environ.get(name):
            raise UsageError(f"{name} is set, with which delta-rs does not commit by a conditional PUT: unset it.")
    endpoint = section.endpoint or environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL")
    ObjectStore.chosen = ObjectStore(
        endpoint.rstrip("/") if endpoint else None,
        section.region or _region(environ, endpoint),
        (endpoint is not None) if section.path_style is None else section.path_style,
        section.ca_file.absolute() if section.ca_file else None,
    )


def _region(environ: Mapping[str, str], endpoint: str | None) -> str:
    stated = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
    if stated is None and endpoint is not None:
        return "us-east-1"  # what stores take that have no regions
    if stated is None:
        import botocore.session

        stated = botocore.session.get_session().get_config_variable("region")
    if stated is None:
        raise UsageError("The bucket's region is not known: set LAKEHOUSE_S3__REGION.")
    return stated


def current() -> ObjectStore:
    """The store of this process.

    Raises:
        LakehouseError: no settings with a root in one have been loaded.
    """
    if ObjectStore.chosen is None:
        raise LakehouseError("No object store is set up: load settings whose root is in one first.")
    return ObjectStore.chosen


def is_in_one(place: str) -> bool:
    """Whether a place is in an object store."""
    return "://" in place


@dataclass(frozen=True)
class Stored:
    """An object as it was read: its bytes, its ETag, and how many seconds ago it was written, by the store's clock."""

    body: bytes
    etag: str
    age: float


class NotAsExpectedError(Exception):
    """A conditional write found another object there, or one where none should be; nothing was written."""


def read(place: str) -> Stored | None:
    """An object; None where there is none."""
    bucket, key = bucket_and_key(place)
    with _explained() as client:
        try:
            answer = client.get_object(Bucket=bucket, Key=key)
        except client.exceptions.NoSuchKey:
            return None
        now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
        return Stored(answer["Body"].read(), answer["ETag"], (now - answer["LastModified"]).total_seconds())


def write(place: str, body: bytes, *, only_if: str | None = None) -> str:
    """Write an object, all of it or nothing; gives its ETag. ``only_if``: ``*`` none is there, else it has this ETag.

    Raises:
        NotAsExpectedError: it is not so.
    """
    from botocore.exceptions import ClientError

    bucket, key = bucket_and_key(place)
    condition = {} if only_if is None else {"IfNoneMatch": "*"} if only_if == "*" else {"IfMatch": only_if}
    with _explained() as client:
        try:
            return str(client.put_object(Bucket=bucket, Key=key, Body=body, **condition)["ETag"])
        except ClientError as error:
            if condition and error.response["Error"]["Code"] in NOT_AS_EXPECTED:
                raise NotAsExpectedError(place) from None
            raise


def below(folder: str) -> dict[str, int]:
    """The size in bytes of every object below a folder, by its path from there."""
    return _listed(folder, "")[0]


def directly_in(folder: str) -> tuple[dict[str, int], list[str]]:
    """The size in bytes of every object that stands directly in a folder, by name, and the names of its folders."""
    return _listed(folder, "/")


def _listed(folder: str, delimiter: str) -> tuple[dict[str, int], list[str]]:
    bucket, key = bucket_and_key(folder)
    start, sizes, folders = len(key) + 1, {}, []
    with _explained() as client:
        asked = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{key}/", Delimiter=delimiter)
        for page in asked:
            sizes.update({entry["Key"][start:]: int(entry["Size"]) for entry in page.get("Contents", ())})
            folders += [entry["Prefix"][start:].rstrip("/") for entry in page.get("CommonPrefixes", ())]
    return sizes, sorted(folders)


def remove(folder: str, names: Iterable[str]) -> None:
    """Remove objects by their paths from a folder, if they are there."""
    bucket, key = bucket_and_key(folder)
    keys = [{"Key": f"{key}/{name}"} for name in names]
    with _explained() as client:
        for first in range(0, len(keys), 1000):  # as many as one request takes
            client.delete_objects(Bucket=bucket, Delete={"Objects": keys[first : first + 1000], "Quiet": True})


@contextmanager
def _explained() -> Iterator[Any]:
    """boto3's client; what it raises meanwhile becomes a sentence.

    Raises:
        UsageError: the bucket is not there, or the credentials are not taken.
        LakehouseError: anything else.
    """
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

    try:
        yield current().client
    except (BotoCoreError, ClientError) as error:
        code = "NoCredentials" if isinstance(error, NoCredentialsError) else ""
        code = error.response["Error"]["Code"] if isinstance(error, ClientError) else code
        kind = UsageError if code in WRONG else LakehouseError
        raise kind(endings.known(error) or f"The object store failed: {endings.sentence(error)}.") from error


def bucket_and_key(place: str) -> tuple[str, str]:
    """The parts of ``s3a://bucket/key``."""
    parts = urlsplit(place)
    return parts.netloc, parts.path.strip("/")
