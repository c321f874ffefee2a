import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { renderHtml } from '../../src/report/index.ts';
import { FOUND, FULL_REPORT } from '../support/report-sample.ts';
import { runCommand } from '../support/run-command.ts';
import { type Chromium, openChromium } from '../support/servers/chromium.ts';
import { temporaryFolder } from '../support/servers/processes.ts';
import { requireServers } from '../support/servers/requirements.ts';
import { useTempFolder } from '../support/temp-folder.ts';
import { openTestbed, pushImage } from '../support/testbed-client.ts';

const describeBrowser = requireServers('chromium');

describeBrowser('the HTML report in a browser', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let browser: Chromium;
  let page: string;

  beforeAll(async () => {
    folder = await temporaryFolder('html-report');
    page = join(folder.path, 'report.html');
    await writeFile(page, renderHtml(FULL_REPORT, FOUND));
    browser = await openChromium();
    await browser.open(page);
  });
  afterAll(async () => {
    await browser?.close();
    await folder?.remove();
  });

  test('asks for nothing but itself, and nothing complains', async () => {
    expect(browser.requested.map((url) => url.replace(/^.*\//, ''))).toEqual(['report.html']);
    expect(browser.complaints).toEqual([]);
    expect(await browser.evaluate('document.title')).toBe(FULL_REPORT.title);
    expect(await browser.evaluate('document.compatMode')).toBe('CSS1Compat');
  });

  test('its policy is in force: what is not ours does not run, and that is seen', async () => {
    const before = browser.complaints.length;
    const ran = await browser.evaluate(`{
      const script = document.createElement('script');
      script.textContent = 'window.ran = true';
      document.body.append(script);
      Boolean(window.ran);
    }`);
    expect(ran).toBe(false);
    await expect.poll(() => browser.complaints.slice(before).join()).toContain('Content Security Policy');
  });

  test('every plot is drawn: its lines fill it, in colours of their own', async () => {
    const plots = await plotsOf(browser);
    const drawn = plots.filter(({ width }) => width > 0);
    expect(drawn.map(({ title, lines }) => [title, lines.length])).toEqual([
      ['Rate', 2],
      ['Errors', 1],
      ['Latency', 3],
      ['State', 3],
      ['Throughput', 1],
    ]);
    for (const { lines, width } of drawn) {
      for (const line of lines) expect(line.width).toBeGreaterThan(width * 0.8);
      expect(new Set(lines.map(({ color }) => color)).size).toBe(lines.length);
      for (const { color } of lines) expect(color).toMatch(/^rgb\(/);
    }
  });

  test('no text of a plot is cut off or runs into another', async () => {
    expect(await badTextsOf(browser)).toEqual([]);
  });

  test('the pointer brings the values of its time', async () => {
    const box = await browser.evaluate<{ x: number; y: number }>(`{
      const strip = document.querySelectorAll('figure .at')[40].querySelector('rect');
      strip.scrollIntoView({ block: 'center' });
      const { x, y, width, height } = strip.getBoundingClientRect();
      ({ x: x + width / 2, y: y + height / 2 });
    }`);
    await browser.hover(box.x, box.y);
    const seen = await browser.evaluate(
      `[...document.querySelectorAll('.at .dot')].filter((dot) => getComputedStyle(dot).visibility === 'visible')
        .map((dot) => dot.parentElement.querySelector('title').textContent)`,
    );
    expect(seen).toEqual(
      Array(2).fill(expect.stringMatching(/^40s\nblob-get {2}[\d.]+ req\/s\nmanifest-get {2}/)),
    );
  });

  test('light and dark are told apart, and text stands out in both', async () => {
    const looks: string[] = [];
    for (const scheme of ['light', 'dark'] as const) {
      await browser.prefer(scheme);
      const colors = await browser.evaluate<string[]>(
        `['body', '.card', '.by', '.badge.bad', '.badge.good', '.badge.warn', '.badge.soft'].flatMap((name) => {
          const style = getComputedStyle(document.querySelector(name));
          return [style.color, style.backgroundColor];
        })`,
      );
      const [, card = ''] = colors.slice(2);
      for (let at = 0; at < colors.length; at += 2) {
        const [ink = '', ground = ''] = colors.slice(at);
        const contrast = contrastOf(ink, ground.startsWith('rgba') ? card : ground);
        expect(contrast, `${scheme} ${ink} on ${ground}`).toBeGreaterThan(4.5);
      }
      looks.push(colors.join());
    }
    expect(looks[0]).not.toBe(looks[1]);
  });

  test('fits a phone without being pushed sideways', async () => {
    const png = await browser.screenshot(400);
    expect(png.subarray(1, 4).toString()).toBe('PNG');
    expect(await browser.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true);
  });
});

describeBrowser('the HTML report of a real run of torture all', () => {
  const folder = useTempFolder();

  test('is drawn whole, in light and dark, on a screen and a phone', async () => {
    const registry = await openTestbed();
    for (const name of ['team/app', 'team/tool']) await pushImage(registry, name, '1');
    registry.faults.add({ match: { kind: 'manifests', probability: 0.02 }, effect: { status: 503 } });
    const page = folder('torture.html');
    const run = await runCommand('torture all', [
      ...[
        '--registry-url',
        registry.url,
        '--duration',
        '8s',
        '--state-interval',
        '500ms',
        '--interval',
        '2s',
      ],
      ...['--workload', 'mixed', '--yes-write', '--rate', '50/s', '--threshold', 'p99<60s'],
      ...['--format', 'html', '--output', page],
    ]);
    expect(run.exitCode, run.stderr).toBe(1);
    const browser = await openChromium();
    onTestFinished(() => browser.close());
    await browser.open(page);
    expect(browser.requested).toHaveLength(1);
    expect(await browser.evaluate(`document.querySelector('.verdict').textContent`)).toBe('✕ Problem found');

    const drawn = await plotsOf(browser);
    expect(drawn.map(({ title, lines }) => [title, lines.length])).toEqual([
      ['State', 3],
      ['Probes', 1],
      ['Rate', 2],
      ['Latency', 2],
    ]);
    for (const { title, lines, width } of drawn) {
      for (const line of lines) expect(line.width, title).toBeGreaterThan(width * 0.6);
    }
    const headings = `[...document.querySelectorAll('h2.part')].map((heading) => heading.textContent)`;
    expect(await browser.evaluate(headings)).toEqual(['monitor', 'consistency', 'stress']);
    const empty = `[...document.querySelectorAll('.card')].filter((card) => card.innerText.trim().split('\\n').length < 2).length`;
    for (const scheme of ['light', 'dark'] as const) {
      await browser.prefer(scheme);
      for (const width of [1200, 400]) {
        await browser.screenshot(width);
        expect(await badTextsOf(browser), `${scheme}, ${width}`).toEqual([]);
        expect(await browser.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true);
      }
    }
    // Only the folded metrics are a card of one line.
    expect(await browser.evaluate(empty)).toBe(1);
    expect(browser.complaints).toEqual([]);
  });
});

/** The plots of a page, and how its lines are drawn. */
async function plotsOf(
  browser: Chromium,
): Promise<{ title: string; lines: { width: number; color: string }[]; width: number }[]> {
  return browser.evaluate<{ title: string; lines: { width: number; color: string }[]; width: number }[]>(
    `[...document.querySelectorAll('figure')].map((figure) => ({
      title: figure.querySelector('figcaption b').textContent,
      width: figure.querySelector('figure > svg')?.viewBox.baseVal.width ?? 0,
      lines: [...figure.querySelectorAll('figure > svg > path.line')].map((line) => ({
        width: line.getBBox().width,
        color: getComputedStyle(line).stroke,
      })),
    }))`,
  );
}

/** Texts of plots that are cut off, or run into another. */
async function badTextsOf(browser: Chromium): Promise<string[]> {
  return browser.evaluate<string[]>(`[...document.querySelectorAll('figure > svg')].flatMap((svg) => {
    const view = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll('text')].map((text) => [text.textContent, text.getBoundingClientRect()]);
    return texts.filter(([, box], at) =>
      box.left < view.left || box.right > view.right || box.bottom > view.bottom ||
      texts.some(([, other], to) => to > at && box.left < other.right && other.left < box.right &&
        box.top < other.bottom && other.top < box.bottom)
    ).map(([text]) => text);
  })`);
}

/** The contrast ratio of two `rgb()` colours (WCAG 2, "contrast ratio"). */
function contrastOf(a: string, b: string): number {
  const [dark = 0, light = 0] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (light + 0.05) / (dark + 0.05);
}

function luminance(color: string): number {
  const [red = 0, green = 0, blue = 0] = (color.match(/\d+/g) ?? []).map((text) => {
    const share = Number(text) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
