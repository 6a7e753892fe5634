// Reads an AsyncAPI document from standard input with the official parser. Prints what it finds, and nothing when all is well.

import fs from "node:fs";
import { createRequire } from "node:module";

const { Parser } = createRequire(`${process.argv[2]}/`)("@asyncapi/parser");
const { document, diagnostics } = await new Parser().parse(fs.readFileSync(0, "utf8"));
for (const { code, path, message } of diagnostics) console.log(`${code} at ${path.join(".")}: ${message}`);
if (!document) console.log("no document");
