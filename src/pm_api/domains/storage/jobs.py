"""Sweeps of storage. What is due is a row with its time; what the sweep finds it looks at again under the locks."""

from pm_api.core.jobs import JobContext, implements, periodic
from pm_api.domains.storage import arrivals, closing, lifecycle, pictures, reconciling, recounting, scanning

assert closing, "what people leave behind is counted only when this module is loaded"


@periodic("storage.expire_uploads", "* * * * *")
async def expire_uploads(context: JobContext) -> None:
    """End uploads that nobody has gone on with; their room is given back."""
    await lifecycle.expire_uploads(context)


@periodic("storage.expire_files", "7 * * * *")
async def expire_files(context: JobContext) -> None:
    """Remove temporary files that nobody has claimed within a day."""
    await lifecycle.purge_expired(context)


@periodic("storage.forget_unworn", "13 * * * *")
async def forget_unworn(context: JobContext) -> None:
    """Remove pictures that came in and were never put on."""
    await pictures.forget_unworn(context.platform)


@periodic("storage.purge_trash", "11 * * * *")
async def purge_trash(context: JobContext) -> None:
    """Remove files that were in the trash for thirty days."""
    await lifecycle.purge_trash(context)


@periodic("storage.take_away", "* * * * *")
async def take_away(context: JobContext) -> None:
    """Take away from the store what nothing refers to any more."""
    await lifecycle.delete_doomed(context)


@periodic("storage.forget", "17 * * * *")
async def forget(context: JobContext) -> None:
    """Forget uploads a week after their end, and links a month after theirs."""
    await lifecycle.forget_uploads(context)


@periodic("storage.clear_unfinished", "37 * * * *")
async def clear_unfinished(context: JobContext) -> None:
    """Remove parts of objects that nobody has put together within a day."""
    await lifecycle.clear_unfinished(context)


@periodic("storage.recount", "53 2 * * *")
async def recount(context: JobContext) -> None:
    """Count every account anew. What drifts is set right, and the operator is told."""
    async for _ in recounting.recount(context.platform, heal=True):
        pass


@periodic("storage.reconcile", "23 3 * * 0")
async def reconcile(context: JobContext) -> None:
    """Compare rows and store, and tell the operator what differs. `pm-api storage reconcile --heal` mends it: bytes
    without a row may be somebody else's, and missing ones may come back with their disk.
    """
    await reconciling.reconcile(context.platform)


@periodic("storage.trust_again", "41 3 * * *")
async def trust_again(context: JobContext) -> None:
    """Take back what was said against bytes that are whole after all."""
    await reconciling.trust_again(context.platform)


@implements(scanning.SCAN)
async def scan(context: JobContext, payload: scanning.ScanObject) -> None:
    """Have one object scanned."""
    await scanning.look_at(context.platform, payload.object_id)


@periodic("storage.rescan", "* * * * *")
async def rescan(context: JobContext) -> None:
    """Have objects scanned that wait for it, and again those that were scanned before."""
    await scanning.put_all_in_turn(context.platform)


@implements(arrivals.COMPLETE)
async def complete_presigned(context: JobContext, payload: arrivals.CompleteUpload) -> None:
    """Take in what was put straight into the store."""
    await arrivals.carry_on_alone(context.platform, payload.upload_id)


@periodic("storage.complete_presigned_uploads", "* * * * *")
async def complete_presigned_uploads(context: JobContext) -> None:
    """Go on with what nobody completes any more."""
    await arrivals.put_all_in_turn(context.platform)
