// Pictures of every view at three widths, light and dark, in both languages, to be looked at: target/tmp/pictures.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { browse, shows, until } from "./browser.mjs";
import { bridge, post, posted, task } from "./bridge.mjs";

const folder = process.env.PICTURES;
const OBJECTS = ["recordings/interview-07.mp3", "uploads/2026/03/夏日海边.mp4", "lessons/unit-12/part-3.mov", "avatars/u-4711.png"];
const TAGS = ["Transcode", "NoiseReduction", "Snapshot", "SpeechRecognition", "Concat"];

await browse(async (tester) => {
  mkdirSync(folder, { recursive: true });
  for (let job = 0; job < 60; job += 1) {
    const id = `j${(0x5d0e8a6c + job * 7919).toString(16)}a15d411f1b7a9525`;
    const body = task(id, {
      tag: TAGS[job % TAGS.length], state: job % 11 === 7 ? "Failed" : "Success", object: OBJECTS[job % OBJECTS.length],
      more: { Code: "Success", CreationTime: "2026-03-02T09:14:05+0800", EndTime: new Date().toISOString(), Operation: { JobLevel: "0", Output: { Bucket: "media-1300000001", Object: `clean/${job}.wav` }, UserData: `episode=${job}` } },
    });
    await posted(body);
    if (job % 13 === 5) await posted(body);
  }
  await post(`{\n  "EventName": "TaskFinish",\n  "JobsDetail": {\n    "Code": "Success",\n    "JobId": "j5d0e8a6c15d4",\n    "State": "Success",\n  }\n}`);
  let taken = 0;
  for (const [scheme, language] of [["light", "en-US"], ["dark", "zh-CN"], ["dark", "en-US"]]) {
    for (const [width, height] of [[360, 740], [1280, 800], [2560, 1200]]) {
      // The page before keeps its place among the listeners for a moment; this one is told so, and asks again.
      const expected = ["503 (Service Unavailable)"];
      const page = await tester.open(bridge.admin, "", { width, height, scheme, language, expected });
      const picture = async (name) => { await page.screenshot({ path: join(folder, `${name}-${width}-${scheme}-${language}.png`) }); taken += 1; };
      await until(page, () => document.querySelector(".sentence")?.textContent && points.some((point) => point.taken));
      await picture("now");
      for (const view of ["callbacks", "quarantine"]) {
        await page.goto(`http://${bridge.admin}/#/${view}`);
        await until(page, () => document.querySelectorAll(".list tbody tr").length > 0);
        await picture(view);
        await page.locator(".list tbody tr").nth(view === "callbacks" ? 1 : 0).click();
        await until(page, () => document.querySelectorAll("#drawer h2").length > 2);
        await picture(`${view}-drawer`);
      }
      await page.goto(`http://${bridge.admin}/#/settings`);
      await shows(page, ".plain", "CI");
      await picture("settings");
      await page.context().close();
    }
  }
  assert.equal(taken, 54);
  tester.noFaults();
});
