"""Waits for the job whose id is the argument, and prints what became of it. Needs nats-py: pip install nats-py"""

import asyncio
import json
import os
import sys

import nats


async def main(job):
    nc = await nats.connect(os.environ.get("NATS_URL", "nats://127.0.0.1:4222"))
    # The body says how long the bridge keeps the request; the timeout is a little longer.
    message = await nc.request(f"ci.await.{job}", b"30m", timeout=31 * 60)
    if error := (message.headers or {}).get("Nats-Service-Error"):
        sys.exit(error)
    print(json.loads(message.data)["State"], message.headers.get("ce-subject"), flush=True)
    await nc.close()


asyncio.run(main(sys.argv[1]))
