"""The bridge one writes in Python today: aiohttp, uvloop, xmltodict and nats-py; acknowledged before the answer."""

import asyncio
import json
import os

import nats
import uvloop
import xmltodict
from aiohttp import web


def messages(body):
    if body.startswith(b"<"):
        callback = xmltodict.parse(body, force_list=("JobsDetail",))["Response"]
    else:
        callback = json.loads(body)
    detail = callback["JobsDetail"]
    if callback["EventName"] != "TaskFinish":
        verdict = "normal" if detail["Result"] == 0 else "violation"
        yield f"ci.moderation.{callback['EventName']}.{verdict}", f"moderation:{detail['JobId']}", detail
        return
    for job in detail:
        yield f"ci.task.{job['Tag']}.{job['State'].lower()}", f"task:{job['JobId']}:{job['State']}", job


async def main():
    js = (await nats.connect(os.environ["NATS_URL"])).jetstream()

    async def receive(request):
        body = await request.read()
        await asyncio.gather(
            *(
                js.publish(subject, json.dumps(job).encode(), headers={"Nats-Msg-Id": id})
                for subject, id, job in messages(body)
            )
        )
        return web.Response(text="ok\n")

    app = web.Application(client_max_size=2**21)
    app.router.add_post("/ci/callback", receive)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = site._server.sockets[0].getsockname()
    print(f"ready on http://{host}:{port}", flush=True)
    await asyncio.Event().wait()


uvloop.run(main())
