"""Settings of the object store."""

from typing import Self
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator


class StorageSettings(BaseModel):
    """`PM_STORAGE_*`."""

    url: str = Field(
        "",
        description="Where files are kept: file:///path, s3://bucket/prefix, gs://bucket/prefix or"
        " az://container/prefix; GCS and Azure take their credentials from their own variables"
        " (GOOGLE_SERVICE_ACCOUNT, AZURE_STORAGE_ACCOUNT_NAME and _KEY); unset = S3 when PM_S3_BUCKET is set, else"
        " PM_DATA_DIR/files.",
    )

    @field_validator("url")
    @classmethod
    def _is_known(cls, value: str) -> str:
        if value and urlsplit(value).scheme not in {"file", "s3", "gs", "az"}:
            raise ValueError("begins with file://, s3://, gs:// or az://")
        return value


class S3Settings(BaseModel):
    """`PM_S3_*`: a store that speaks S3. Without keys the ones of the environment or of the machine count."""

    bucket: str = Field("", description="Bucket of an S3-compatible store; unset = files are not kept in S3.")
    region: str = Field("us-east-1", description="Region of the bucket.")
    endpoint: str = Field("", description="Base address of a store that is not Amazon's; unset = Amazon's.")
    access_key_id: str = Field("", description="Access key; unset = the machine's own credentials.")
    secret_access_key: SecretStr = Field(SecretStr(""), description="Secret of that key.")
    prefix: str = Field("", description="Folder of the bucket in which everything lies.")

    @field_validator("prefix")
    @classmethod
    def _trim(cls, value: str) -> str:
        return value.strip("/")

    @model_validator(mode="after")
    def _has_both(self) -> Self:
        if bool(self.access_key_id) != bool(self.secret_access_key.get_secret_value()):
            raise ValueError("PM_S3_ACCESS_KEY_ID and PM_S3_SECRET_ACCESS_KEY go together")
        return self
