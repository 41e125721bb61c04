// Opens the example page in a real browser, chooses a run, and prints what it shows when the run has ended (JSON).
// Arguments: URL of the page, id of the run, file for a screenshot, file that lets the run end: written when its state
// has been seen once.
import { writeFileSync } from "node:fs";

import { chromium } from "playwright-core";

const [url, runId, screenshot, seen] = process.argv.slice(2) as [string, string, string, string];
const browser = await chromium.launch({
  executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
  ],
});
try {
  const page = await browser.newPage({ viewport: { width: 1200, height: 700 } });
  const problems: string[] = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
  await page.goto(url);
  await page.locator(`a[href="#${runId}"]`).click();
  const first = await page.locator("#state[data-state]").innerText();
  writeFileSync(seen, "");
  await page.locator("#state[data-state=SUCCEEDED]").waitFor({ timeout: 60_000 });
  await page.locator("#lineage tr").first().waitFor({ timeout: 30_000 });
  await page.locator("#runs a[aria-current] .state[data-state=SUCCEEDED]").waitFor({ timeout: 30_000 });
  const texts = (selector: string) => page.locator(selector).allInnerTexts();
  console.log(
    JSON.stringify({
      first,
      name: await page.locator("#name").innerText(),
      runs: await texts("#runs a span:first-child"),
      tasks: await texts("#tasks tr"),
      lineage: await texts("#lineage tr"),
      problems,
    }),
  );
  await page.screenshot({ path: screenshot });
} finally {
  await browser.close();
}
