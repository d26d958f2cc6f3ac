/** An HTTP server that takes webhooks, and answers as a test wants. */
import { createServer } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Received {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface Receiver {
  readonly url: string;
  readonly received: readonly Received[];
  /** Resolves when so many requests have come in all. */
  readonly count: (wanted: number) => Promise<void>;
  close(): Promise<void>;
}

/** `never`: it takes the request and says nothing. */
export type Reply =
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: string }
  | 'never';

export const OK: Reply = { status: 200 };

/** @param reply to each request, by its number from 0 on */
export async function startReceiver(
  reply: (nth: number, request: Received) => Reply = () => OK,
): Promise<Receiver> {
  const received: Received[] = [];
  const waiting = new Set<() => void>();

  function answer(request: IncomingMessage, response: ServerResponse, body: string): void {
    const one = { path: request.url ?? '', headers: request.headers, body };
    received.push(one);
    const chosen = reply(received.length - 1, one);
    if (chosen !== 'never') response.writeHead(chosen.status, chosen.headers).end(chosen.body);
    for (const look of [...waiting]) look();
  }

  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (piece: string) => (body += piece));
    request.on('end', () => {
      answer(request, response, body);
    });
    request.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port.toString()}/hook`,
    received,
    count: (wanted) =>
      new Promise((resolve) => {
        const look = (): void => {
          if (received.length < wanted) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}
