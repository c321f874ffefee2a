import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { startServer, temporaryFolder } from './processes.ts';

/** A headless browser with one page, driven through the DevTools protocol on a loopback port. */
export interface Chromium {
  /** Opens a file and waits until it has loaded. */
  open(path: string): Promise<void>;
  /** The value of an expression in the page, through JSON. */
  evaluate<T>(expression: string): Promise<T>;
  /** What the reader's system wishes. */
  prefer(scheme: 'light' | 'dark'): Promise<void>;
  /** Moves the pointer to this point of the view. */
  hover(x: number, y: number): Promise<void>;
  /** The whole page as PNG, this many CSS pixels wide. */
  screenshot(width?: number): Promise<Buffer>;
  /** What the console, the page's policy or an exception complained of since the start. */
  readonly complaints: readonly string[];
  /** Every URL the page asked for since the start. */
  readonly requested: readonly string[];
  close(): Promise<void>;
}

interface Reply {
  readonly id?: number;
  readonly method?: string;
  readonly error?: { readonly message: string };
  // biome-ignore lint/suspicious/noExplicitAny: the protocol has thousands of shapes
  readonly result?: any;
  // biome-ignore lint/suspicious/noExplicitAny: as above
  readonly params?: any;
}

/** Starts Chromium with a profile of its own; it calls nobody. */
export async function openChromium(): Promise<Chromium> {
  const folder = await temporaryFolder('chromium');
  const server = await startServer(
    'chromium',
    [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--disable-dev-shm-usage',
      '--host-resolver-rules=MAP * ~NOTFOUND',
      '--remote-debugging-port=0',
      `--user-data-dir=${join(folder.path, 'profile')}`,
      'about:blank',
    ],
    // It leaves folders of its own behind wherever temporary files go.
    { logFile: join(folder.path, 'log'), env: { ...process.env, TMPDIR: folder.path } },
  );
  const close = async (): Promise<void> => {
    await server.stop();
    await folder.remove();
  };
  try {
    const [, port] = await server.logged(/DevTools listening on ws:\/\/127\.0\.0\.1:(\d+)\//);
    const targets = (await (await fetch(`http://127.0.0.1:${port}/json/list`)).json()) as {
      type: string;
      webSocketDebuggerUrl: string;
    }[];
    const page = targets.find(({ type }) => type === 'page');
    if (!page)
      throw new Error(`no page; chromium said:\n${await readFile(join(folder.path, 'log'), 'utf8')}`);
    const socket = new WebSocket(page.webSocketDebuggerUrl);
    await new Promise((resolve, reject) => {
      socket.addEventListener('open', resolve, { once: true });
      socket.addEventListener('error', reject, { once: true });
    });
    return await drive(socket, async () => {
      socket.close();
      await close();
    });
  } catch (error) {
    await close();
    throw error;
  }
}

async function drive(socket: WebSocket, close: () => Promise<void>): Promise<Chromium> {
  const waiting = new Map<number, (reply: Reply) => void>();
  const complaints: string[] = [];
  const requested: string[] = [];
  let loaded = (): void => {};
  let lastId = 0;
  socket.addEventListener('message', ({ data }) => {
    const reply = JSON.parse(String(data)) as Reply;
    if (reply.id !== undefined) waiting.get(reply.id)?.(reply);
    else if (reply.method === 'Page.loadEventFired') loaded();
    else if (reply.method === 'Network.requestWillBeSent') requested.push(reply.params.request.url);
    else if (reply.method === 'Log.entryAdded') complaints.push(reply.params.entry.text);
    else if (reply.method === 'Runtime.consoleAPICalled') complaints.push(JSON.stringify(reply.params.args));
    else if (reply.method === 'Runtime.exceptionThrown') complaints.push(reply.params.exceptionDetails.text);
  });
  const call = async (method: string, params: object = {}): Promise<Reply['result']> => {
    const id = ++lastId;
    const reply = await new Promise<Reply>((resolve) => {
      waiting.set(id, resolve);
      socket.send(JSON.stringify({ id, method, params }));
    });
    waiting.delete(id);
    if (reply.error) throw new Error(`${method}: ${reply.error.message}`);
    return reply.result;
  };
  for (const domain of ['Page', 'Network', 'Log', 'Runtime']) await call(`${domain}.enable`);

  return {
    complaints,
    requested,
    close,
    async open(path) {
      const done = new Promise<void>((resolve) => {
        loaded = resolve;
      });
      await call('Page.navigate', { url: pathToFileURL(path).href });
      await done;
    },
    async evaluate(expression) {
      const { result, exceptionDetails } = await call('Runtime.evaluate', {
        expression,
        returnByValue: true,
      });
      if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
      return result.value;
    },
    async prefer(scheme) {
      await call('Emulation.setEmulatedMedia', {
        features: [{ name: 'prefers-color-scheme', value: scheme }],
      });
    },
    async hover(x, y) {
      await call('Input.dispatchMouseEvent', { type: 'mouseMoved', x, y });
    },
    async screenshot(width = 1200) {
      const size = { width, height: 800, deviceScaleFactor: 1, mobile: false };
      await call('Emulation.setDeviceMetricsOverride', size);
      const { data } = await call('Page.captureScreenshot', { format: 'png', captureBeyondViewport: true });
      return Buffer.from(data, 'base64');
    },
  };
}
