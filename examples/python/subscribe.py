"""Handles failed tasks, one at a time, whatever their tag. Needs nats-py: pip install nats-py"""

import asyncio
import json
import os

import nats
from nats.js.api import AckPolicy, ConsumerConfig


async def main():
    nc = await nats.connect(os.environ.get("NATS_URL", "nats://127.0.0.1:4222"))
    # The durable name is the service's own: its instances share the messages, and a restart goes on where it was.
    subscription = await nc.jetstream().pull_subscribe(
        "ci.task.*.failed",
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
            job = json.loads(message.data)
            # Delivery is at least once: the id is the same whenever the same thing happened.
            print(message.header["Nats-Msg-Id"], job["Tag"], job.get("Code"), job.get("Message"), flush=True)
            # Only after the work is done: what is not acknowledged comes again.
            await message.ack()


asyncio.run(main())
