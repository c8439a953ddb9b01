"""An S3 that answers on this machine: moto's server, whose objects lie in memory."""

import atexit
from collections.abc import Iterator
from functools import cache
from typing import Any, Final
from urllib.parse import unquote
from uuid import uuid4

import boto3
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from moto.server import ThreadedMotoServer

KEY: Final = "testing"
REGION: Final = "us-east-1"


@cache
def server() -> str:
    """The address of this process's own."""
    running = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    atexit.register(running.stop)
    host, port = running.get_host_and_port()
    return f"http://{host}:{port}"


def client() -> Any:
    """What an operator holds: for making buckets, and for looking into them behind the service's back."""
    return boto3.session.Session().client(
        "s3", endpoint_url=server(), region_name=REGION, aws_access_key_id=KEY, aws_secret_access_key=KEY
    )


def new_bucket() -> str:
    name = f"pm-{uuid4().hex[:12]}"
    client().create_bucket(Bucket=name)
    return name


@cache
def bucket() -> str:
    """The one that all platforms of this process share."""
    return new_bucket()


class Conditions:
    """Answers copies as S3 does whose source is another one than `CopySourceIfMatch` says: moto copies anyway."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, request: Any, **_: Any) -> AWSResponse | None:
        wanted = _text(request.headers["x-amz-copy-source-if-match"])
        name, _slash, key = unquote(_text(request.headers["x-amz-copy-source"])).lstrip("/").partition("/")
        self.seen.append(key)
        if client().head_object(Bucket=name, Key=key)["ETag"] == wanted:
            return None
        return AWSResponse(request.url, 412, HTTPHeaders(), _Refusal())


class _Refusal:
    def stream(self) -> Iterator[bytes]:
        yield b"<Error><Code>PreconditionFailed</Code></Error>"


def _text(header: str | bytes) -> str:
    return header.decode() if isinstance(header, bytes) else header


def honour_conditions(s3: Any) -> Conditions:
    """Of one client of boto3's."""
    conditions = Conditions()
    for operation in ("CopyObject", "UploadPartCopy"):
        s3.meta.events.register(f"before-send.s3.{operation}", conditions)
    return conditions


def s3_settings(name: str | None = None, **more: str) -> dict[str, str]:
    """`PM_S3_*` of a platform."""
    return {
        "bucket": name or bucket(),
        "endpoint": server(),
        "region": REGION,
        "access_key_id": KEY,
        "secret_access_key": KEY,
        **more,
    }


def s3_environment(name: str | None = None, **more: str) -> dict[str, str]:
    """The same for a process."""
    return {f"PM_S3_{key.upper()}": value for key, value in s3_settings(name, **more).items()}
