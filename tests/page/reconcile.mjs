// What the last account with CI found, on the first view, in both languages.
import { accessible, browse, shows } from "./browser.mjs";
import { bridge } from "./bridge.mjs";

await browse(async (tester) => {
  const page = await tester.open(bridge.admin);
  await shows(page, "main section h2", "reconcile");
  await shows(page, "main section p", /^Last run at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d: 1 recovered\.$/);
  await shows(page, "main section .mono", "task:j1:Success ci.task.Transcode.success");
  await accessible(page, "an account with CI");
  await page.getByRole("button", { name: "中文" }).click();
  await shows(page, "main section h2", "对账");
  await shows(page, "main section p", /^最近一次 .*1 recovered/);
  tester.noFaults();
});
