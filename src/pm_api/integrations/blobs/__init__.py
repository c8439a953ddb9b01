"""The object store: a typed door over local disk, S3, GCS and Azure.

No object of a store's library passes this package. What is not there is a BlobMissing, what is not whole a
BlobDamaged; a store that does not answer is a StorageUnavailable, which people see as 503.
"""

from pm_api.integrations.blobs.door import BlobDoor, BlobWriter
from pm_api.integrations.blobs.values import BlobDamaged, BlobHead, BlobMissing, StorageUnavailable

__all__ = ["BlobDamaged", "BlobDoor", "BlobHead", "BlobMissing", "BlobWriter", "StorageUnavailable"]
