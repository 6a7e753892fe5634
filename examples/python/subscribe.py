"""Handles failed tasks, one at a time, whatever their tag. Needs nats-py: pip install nats-py

CI_SUBJECT chooses other events."""

import asyncio
import hashlib
import json
import os

import nats
from nats.js.api import AckPolicy, ConsumerConfig


async def whole(js, message):
    """The body; of an event that is larger than NATS takes, from the object store, whole and compared with its digest."""
    if place := message.header.get("Ci-Object"):
        bucket, name = place.split("/", 1)
        store = await js.object_store(bucket)
        return (await store.get(name)).data
    return message.data


async def main():
    nc = await nats.connect(os.environ.get("NATS_URL", "nats://127.0.0.1:4222"))
    js = nc.jetstream()
    # The durable name is the service's own: its instances share the messages, and a restart goes on where it was.
    subscription = await js.pull_subscribe(
        os.environ.get("CI_SUBJECT", "ci.task.*.failed"),
        durable="failed-tasks",
        stream="CI",
        config=ConsumerConfig(ack_policy=AckPolicy.EXPLICIT),
    )
    while True:
        try:
            messages = await subscription.fetch(10, timeout=30)
        except nats.errors.TimeoutError:
            continue
        for message in messages:
            body = await whole(js, message)
            job = json.loads(body)
            # Delivery is at least once: the id is the same whenever the same thing happened.
            digest = hashlib.sha256(body).hexdigest()
            print(message.header["Nats-Msg-Id"], job.get("Tag"), job.get("Code"), len(body), "bytes,", "SHA-256", digest, flush=True)
            # Only after the work is done: what is not acknowledged comes again.
            await message.ack()


asyncio.run(main())
