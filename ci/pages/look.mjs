// Pictures of pages in headless Chromium, and their faults of accessibility.
//
//     npm ci --prefix ci/pages
//     node ci/pages/look.mjs [--out FOLDER] [--all] PAGE…
//
// A page is a file or an address. Each is shown at two widths, light and dark. With --out a PNG
// file of each goes into the folder. A page is at fault if axe-core finds a serious or critical
// violation (with --all, any), if it is wider than the window, if a script on it fails, or if a file loads anything
// from elsewhere. The exit code is 1 then. CHROMIUM is the path of the browser.

import { createRequire } from "node:module";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const WIDTHS = [390, 1280];
const SCHEMES = ["light", "dark"];
const SERIOUS = new Set(["serious", "critical"]);
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf-8");

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { out: { type: "string" }, all: { type: "boolean", default: false } },
});
if (positionals.length === 0) {
  console.error("usage: node look.mjs [--out FOLDER] [--all] PAGE…");
  process.exit(2);
}
if (values.out) mkdirSync(values.out, { recursive: true });

function addressOf(page) {
  return existsSync(page) ? pathToFileURL(resolve(page)).href : page;
}

async function look(context, page, width, scheme) {
  const tab = await context.newPage();
  const address = addressOf(page);
  const faults = [];
  tab.on("pageerror", (error) => faults.push(`a script failed: ${error.message}`));
  tab.on("request", (request) => {
    const url = request.url();
    const isOwn = url === address || url.startsWith("data:") || !address.startsWith("file:");
    if (!isOwn && !url.startsWith("file:")) faults.push(`loads ${url}`);
  });
  await tab.setViewportSize({ width, height: 900 });
  const answer = await tab.goto(address, { waitUntil: "load" });
  // A file has no status.
  if (answer.status() >= 400) faults.push(`answers ${answer.status()}`);
  const wide = await tab.evaluate(() => document.documentElement.scrollWidth);
  if (wide > width) faults.push(`is ${wide} pixels wide`);
  if (values.out) {
    const name = basename(new URL(address).pathname).replace(/\.html?$/, "") || "index";
    const path = join(values.out, `${name}-${width}-${scheme}.png`);
    await tab.screenshot({ path, fullPage: true });
  }
  await tab.evaluate(axe);
  const found = await tab.evaluate(
    (tags) => globalThis.axe.run(document, { runOnly: { type: "tag", values: tags } }),
    TAGS,
  );
  for (const violation of found.violations) {
    if (!values.all && !SERIOUS.has(violation.impact)) continue;
    const places = violation.nodes.slice(0, 3).map((node) => node.target.join(" "));
    faults.push(`${violation.impact}: ${violation.id}, ${violation.help} (${places.join("; ")})`);
  }
  await tab.close();
  return faults;
}

const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
let count = 0;
for (const scheme of SCHEMES) {
  // A script that a page's policy forbids would keep axe-core out too.
  const context = await browser.newContext({ colorScheme: scheme, bypassCSP: true });
  for (const page of positionals) {
    for (const width of WIDTHS) {
      const faults = await look(context, page, width, scheme);
      for (const fault of faults) console.log(`${page}, ${width} pixels, ${scheme}: ${fault}`);
      count += faults.length;
    }
  }
  await context.close();
}
await browser.close();
console.log(`${positionals.length} pages, ${count} faults`);
process.exit(count ? 1 : 0);
