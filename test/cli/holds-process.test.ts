/** `holdfast holds` as it ships: exit statuses, and what goes to which stream. */
import { describe, expect, it } from 'vitest';
import { startApi } from '../admin/api-support.js';
import { request, tokenOf } from '../holds/support.js';
import { run, type Finished } from './run.js';

describe('holdfast holds', () => {
  it('lists, shows, approves and denies', async () => {
    const { port, store } = await startApi();
    for (const id of ['h1', 'h2']) await store.request(request({ id }));
    const holds = (...args: readonly string[]): Promise<Finished> =>
      run(['holds', ...args, '--url', `http://127.0.0.1:${port}`], {
        env: { HOLDFAST_TOKEN: tokenOf('dana') },
      });

    const list = await holds('list', '--json');
    expect(list).toMatchObject({ status: 0, stderr: '' });
    expect(JSON.parse(list.stdout)).toMatchObject({ holds: [{ id: 'h1' }, { id: 'h2' }] });
    const show = await holds('show', 'h1');
    expect(show).toMatchObject({ status: 0, stderr: '' });
    expect(show.stdout).toContain('1 | DROP TABLE orders');
    expect(show.stdout).not.toContain('\u001b');

    expect(await holds('approve', 'h1', '--reason', 'fine')).toEqual({
      status: 0,
      stdout: 'hold h1: approved; it runs now\n',
      stderr: '',
    });
    expect(await holds('deny', 'h2')).toMatchObject({
      status: 0,
      stdout: 'hold h2: denied; it will not run\n',
    });
    expect(await holds('approve', 'h2')).toMatchObject({ status: 1, stdout: '' });
    const unknown = await holds('show', 'h3');
    expect(unknown).toMatchObject({ status: 1, stdout: '' });
    expect(unknown.stderr).toMatch(/^There is no hold h3 that you may see\./);
  });

  it('without a token is wrong usage', async () => {
    const { status, stderr } = await run(['holds', 'list']);
    expect(status).toBe(2);
    expect(stderr).toMatch(/^no token: set HOLDFAST_TOKEN/);
  });
});
