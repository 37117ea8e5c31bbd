// What somebody sees and does who opens the admin page. Says a line for each step, so that the test which started it can do
// its part: the streamers and the receiver are there.
//
// node browser.cjs CHROMIUM URL TOKEN FOLDER
"use strict";

const assert = require("node:assert/strict");
const path = require("node:path");
const { chromium } = require("playwright-core");

const axe = require("axe-core").source;

const [executablePath, url, token, folder] = process.argv.slice(2);
const PATIENCE = 30_000;
const QUIETLY = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];

const say = (line) => process.stdout.write(`${line}\n`);

// Whether everybody can read and use the page, as far as axe can tell (WCAG 2.2, levels A and AA).
async function accessible(page, what) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, {
    runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
  }));
  const found = violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.target}: ${node.failureSummary}`));
  assert.deepEqual(found, [], what);
}

async function fits(page, width) {
  await page.setViewportSize({ width, height: 844 });
  const needed = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(needed <= width, `the page is ${needed} pixels wide on a screen of ${width}`);
}

async function shoot(page, name, height) {
  const { width } = page.viewportSize();
  await page.setViewportSize({ width, height });
  await page.evaluate(() => scrollTo(0, 0));
  await page.screenshot({ path: path.join(folder, `${name}.png`) });
}

async function enter(page, judged) {
  await page.goto(url);
  assert.equal(new URL(page.url()).pathname, "/login");
  if (judged) await accessible(page, "the form at the door");
  await page.getByLabel("Token").fill(token);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Streamers" }).waitFor();
}

// Whether what is said covers what it speaks of.
async function apart(page, name) {
  await page.waitForFunction((text) => {
    const row = [...document.querySelectorAll("#destinations li")].find((each) => each.dataset.key === text);
    const [said, about] = [document.querySelector("#said.good"), row].map((each) => each?.getBoundingClientRect());
    return said && about && said.height > 0 && (said.top >= about.bottom || said.bottom <= about.top);
  }, `destination-${name}`);
}

// One delivery with its requests and answers, and the timeline with a filter, in a window of their own.
async function look(context) {
  const page = await context.newPage();
  await page.goto(url);
  await page.locator("#undelivered").getByRole("link", { name: "details" }).click();
  await page.getByText("POST [redacted] HTTP/1.1").waitFor();
  await page.getByText("maintenance until noon").first().waitFor();
  await page.getByText('"timestamp"').first().waitFor();
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    for (const width of [320, 390, 1280]) await fits(page, width);
    await accessible(page, `a delivery in ${colorScheme} mode`);
  }
  await page.goto(url);
  const all = await page.locator(".timeline > li").count();
  assert.equal(all, 20);
  await page.getByRole("link", { name: "Older" }).click();
  await page.getByRole("link", { name: "Latest" }).waitFor();
  await page.getByLabel("State").selectOption("undelivered");
  await page.getByRole("searchbox", { name: "Streamer", exact: true }).fill("KITSU");
  await page.getByRole("button", { name: "Filter" }).click();
  await page.waitForURL(/state=undelivered/);
  assert.equal(await page.locator(".timeline > li").count(), 1);
  const link = await page.getByRole("link", { name: "Timeline as JSON" }).getAttribute("href");
  const { items } = await page.evaluate(async (where) => (await fetch(where)).json(), link);
  assert.deepEqual(items.map(({ login }) => login), ["kitsune"]);
  await page.close();
}

// Goes from one thing to the next, as far as the Tab key leads, until the focus is on a button.
async function tabTo(page, name) {
  for (let presses = 0; presses < 200; presses += 1) {
    await page.keyboard.press("Tab");
    const label = await page.evaluate(() => document.activeElement.getAttribute("aria-label") || "");
    if (label.startsWith(name)) {
      const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
      assert.equal(outline, "solid", "the focus cannot be seen");
      return;
    }
  }
  assert.fail(`the Tab key does not lead to ${name}`);
}

async function main() {
  const browser = await chromium.launch({ executablePath, args: QUIETLY, timeout: PATIENCE });
  const context = await browser.newContext({ viewport: { width: 1280, height: 844 }, colorScheme: "light" });
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => request.url().startsWith(url) || complaints.push(`asks ${request.url()}`));

  await enter(page, true);
  await page.getByText("up to date").waitFor();
  await page.evaluate(() => { window.witness = "the page was not loaded again"; });
  assert.equal(await page.locator("#streamer-tanuki .badge.live").count(), 0);
  // A part that is taken out and put back loses the focus, and the click that is being made.
  await page.evaluate(() => {
    window.moved = [];
    new MutationObserver((records) => {
      for (const { removedNodes } of records) for (const node of removedNodes) if (node.isConnected) window.moved.push(node.id);
    }).observe(document.querySelector("main"), { childList: true });
  });
  say("ready");

  await page.locator("#streamer-tanuki .badge.live").waitFor();
  await page.locator("#undelivered .row").waitFor();
  await page.waitForFunction(() => document.querySelector("#streamer-tanuki img.avatar")?.naturalWidth > 0);
  await page.locator("#streamer-tanuki").getByText("subscribed").waitFor();
  await shoot(page, "admin", 1000);
  await page.emulateMedia({ colorScheme: "dark" });
  await page.setViewportSize({ width: 390, height: 844 });
  const { y } = await page.locator("#undelivered").getByRole("button").boundingBox();
  assert.ok(y < 844, "on a phone what needs action is not on the first screen");
  await shoot(page, "admin-phone", 844);
  await page.emulateMedia({ colorScheme: "light" });
  await look(context);
  say("live");

  await page.setViewportSize({ width: 1280, height: 844 });
  await tabTo(page, "Send again");
  await page.keyboard.press("Enter");
  await page.locator("#undelivered .row").waitFor({ state: "detached" });
  await page.locator("#said.good").getByText("streamers.kitsune: streamers.kitsune").waitFor();
  say("retried");

  await page.getByRole("button", { name: "Send a test notification to streamers.tanuki", exact: true }).click();
  await page.locator("#said.good").getByText("streamers.tanuki").waitFor();
  await apart(page, "streamers.tanuki");
  await page.setViewportSize({ width: 390, height: 500 });
  for (const [name, low] of [["kitsune", true], ["tanuki", false], ["neko", true]]) {
    const row = page.locator("#destinations li", { hasText: `streamers.${name}` });
    await row.evaluate((each, atTheEnd) => {
      document.getElementById("said").textContent = "";
      each.scrollIntoView({ block: atTheEnd ? "end" : "start" });
    }, low);
    await page.getByRole("button", { name: `Send a test notification to streamers.${name}`, exact: true }).click();
    await page.locator("#said.good").getByText(`streamers.${name}`).waitFor();
    await apart(page, `streamers.${name}`);
  }
  say("tested");

  await page.locator("#streamer-mujina").getByText("<img src=x onerror=alert(1)>").waitFor();
  assert.equal(await page.locator('img[src="x"]').count(), 0, "a title is taken for markup");

  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    for (const width of [320, 390, 768, 1280]) await fits(page, width);
    await accessible(page, `in ${colorScheme} mode`);
  }
  const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  assert.ok(ground.match(/\d+/g).every((each) => Number(each) < 60), `dark mode is ${ground}`);
  assert.deepEqual(await page.evaluate(() => window.moved), []);
  assert.equal(await page.evaluate(() => window.witness), "the page was not loaded again");
  assert.deepEqual(complaints, []);

  const plain = await browser.newContext({ javaScriptEnabled: false });
  plain.setDefaultTimeout(PATIENCE);
  const still = await plain.newPage();
  await enter(still, false);
  await still.locator("#streamer-tanuki .badge.live").waitFor();
  await still.getByRole("button", { name: "Send a test notification to streamers.tanuki", exact: true }).click();
  await still.getByText("The test notification to streamers.tanuki").waitFor();
  await still.getByRole("link", { name: "Back" }).click();
  await still.getByRole("button", { name: "Log out" }).click();
  await still.getByLabel("Token").waitFor();
  say("plain");
  await browser.close();
}

main().then(() => process.exit(0), (error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
