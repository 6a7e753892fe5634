// Unpacks the browser that npm has brought into the folder `browser` beside `node_modules`: node unpack.mjs <folder>
import { spawnSync } from "node:child_process";
import { chmodSync, createReadStream, createWriteStream, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createBrotliDecompress } from "node:zlib";

const folder = process.argv[2];
const packed = join(folder, "node_modules/@sparticuz/chromium/bin");
const browser = join(folder, "browser");
mkdirSync(browser);

const unpack = (from, to) => pipeline(createReadStream(join(packed, from)), createBrotliDecompress(), createWriteStream(join(browser, to)));
await unpack("chromium.br", "chromium");
chmodSync(join(browser, "chromium"), 0o755);
// The libraries that a machine without a desktop lacks, and a typeface for one without any.
for (const archive of ["al2023.tar", "fonts.tar"]) {
  await unpack(`${archive}.br`, archive);
  const { status, error } = spawnSync("tar", ["-xf", archive], { cwd: browser, stdio: "inherit" });
  if (status !== 0) throw error ?? new Error(`tar -xf ${archive} ended with ${status}`);
  rmSync(join(browser, archive));
}
// 70 MB that nobody reads again.
rmSync(packed, { recursive: true });
