import { writeFile } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer, type AddressInfo } from 'node:net';
import { expect, it, vi } from 'vitest';
import { incidents } from '../../src/demo/incidents.js';
import type { DemoProxyOptions } from '../../src/demo/proxy.js';

// A proxy that lets everything through: what the incidents look like when Holdfast fails.
vi.mock('../../src/demo/proxy.js', () => ({
  startDemoProxy: async ({ upstream, auditPath }: DemoProxyOptions) => {
    await writeFile(auditPath, '');
    const listener = createServer((client) => {
      const server = connect(upstream.port, upstream.host);
      client.on('error', () => server.destroy()).pipe(server);
      server.on('error', () => client.destroy()).pipe(client);
    });
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
    // Nothing ever waits for approval.
    const admin = createHttpServer((_request, response) => {
      response.setHeader('content-type', 'application/json').end('{"holds":[],"more":false}');
    });
    await new Promise<void>((resolve) => admin.listen(0, '127.0.0.1', resolve));
    return {
      port: (listener.address() as AddressInfo).port,
      adminPort: (admin.address() as AddressInfo).port,
      close: async () => {
        admin.close();
        admin.closeAllConnections();
        await new Promise((resolve) => listener.close(resolve));
      },
    };
  },
}));

it('reports what got through, and exits with 1', async () => {
  let output = '';
  const status = await incidents((text) => (output += text));
  const lines = output.split('\n');
  const line = (start: string) => lines.find((candidate) => candidate.startsWith(start)) ?? '';
  expect(line('1 TRUNCATE')).toMatch(/ \? +- +2104 +0 +0 +NOT STOPPED$/);
  expect(line('2 the wrong terminal')).toMatch(/ gone +gone +NOT STOPPED$/);
  expect(line('3 the wrong tab')).toMatch(/ 6001 +gone +gone +NOT STOPPED$/);
  // Nobody was asked: that it ran is no approval.
  expect(line('3 … the right table')).toMatch(/ 2000 +gone +gone +NOT STOPPED$/);
  expect(line('4 JSON')).toMatch(/ 600 +550 +550 +NOT STOPPED$/);
  expect(output).toMatch(/; \d FAILED\n/);
  expect(status).toBe(1);
});
