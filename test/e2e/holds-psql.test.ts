/**
 * Two people: one in psql whose statement waits, one who decides about it with
 * `holdfast holds`. Both as they are shipped; what each of them reads is tested.
 */
import { spawn } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { holdPolicy, holdsCommand, startHolds } from '../support/holds.js';
import type { HoldsGround } from '../support/holds.js';
import { psqlVersion } from '../support/psql.js';

let ground: HoldsGround;

beforeAll(async () => {
  ground = await startHolds('holds_psql', holdPolicy());
});

afterAll(async () => {
  await ground.close();
});

interface Psql {
  /** Everything printed so far, as on a screen. */
  screen(): string;
  /** Waits until this can be read. */
  printed(text: string | RegExp): Promise<void>;
  type(line: string): void;
  /** Ctrl-C. */
  interrupt(): void;
  /** Ends its input, and waits for its end. */
  readonly ended: () => Promise<number | null>;
}

function startPsql(...options: readonly string[]): Psql {
  const child = spawn('psql', ['-X', '-w', ...options, ground.url], {
    env: { PATH: process.env['PATH'], LC_ALL: 'C', PGCONNECT_TIMEOUT: '10' },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let screen = '';
  let wake: () => void = () => undefined;
  let running = true;
  const show = (text: string): void => {
    screen += text;
    wake();
  };
  child.stdout.setEncoding('utf8').on('data', show);
  child.stderr.setEncoding('utf8').on('data', show);
  const status = new Promise<number | null>((resolve) => {
    child.once('close', (code) => {
      running = false;
      resolve(code);
      wake();
    });
  });
  return {
    screen: () => screen,
    async printed(text) {
      while (!(typeof text === 'string' ? screen.includes(text) : text.test(screen))) {
        if (!running) throw new Error(`psql ended without that on the screen:\n${screen}`);
        await new Promise<void>((resolve) => (wake = resolve));
      }
    },
    type: (line) => {
      child.stdin.write(`${line}\n`);
    },
    interrupt: () => {
      child.kill('SIGINT');
    },
    ended: () => {
      child.stdin.end();
      return status;
    },
  };
}

describe.skipIf(psqlVersion === null)('psql', () => {
  test('waits, is told for what, and goes on when it is approved', async () => {
    await ground.table('old_orders');
    const psql = startPsql();
    psql.type('DROP TABLE old_orders;');
    psql.type("SELECT 'after' || 'wards';");
    await psql.printed(/NOTICE: {2}holdfast: /);
    const hold = await ground.approvals.next('old_orders');
    await psql.printed(hold.id);
    await psql.printed('dana, kim, lee');
    expect(psql.screen()).not.toContain('DROP TABLE\n');

    const list = await holdsCommand(ground.holdfast, 'kim', ['list']);
    expect(list).toMatchObject({ status: 0, stderr: '' });
    expect(list.stdout).toMatch(new RegExp(`^${hold.id} +requested +0/1 .*DROP TABLE old_`, 'm'));
    const show = await holdsCommand(ground.holdfast, 'kim', ['show', hold.id]);
    expect(show.status).toBe(0);
    expect(show.stdout).toContain('1 | DROP TABLE old_orders');
    expect(show.stdout).toContain(ground.user.name);
    expect(show.stdout).toContain('psql');
    expect(show.stdout).toContain('You may approve or deny it.');
    const approve = await holdsCommand(ground.holdfast, 'kim', ['approve', hold.id, '--reason', 'agreed']);
    expect(approve).toEqual({ status: 0, stdout: `hold ${hold.id}: approved; it runs now\n`, stderr: '' });

    expect(await psql.ended()).toBe(0);
    expect(psql.screen()).toMatch(/NOTICE[\s\S]*DROP TABLE\n[\s\S]*afterwards/);
    expect(psql.screen()).not.toContain('ERROR');
    expect(await ground.rows("SELECT to_regclass('old_orders') IS NULL")).toBe('true');
    const again = await holdsCommand(ground.holdfast, 'dana', ['approve', hold.id]);
    expect(again.status).toBe(1);
    expect(again.stderr).toContain('was released to run already');
  });

  test('denied: psql says who and why, and with ON_ERROR_STOP it stops there', async () => {
    await ground.table('new_orders');
    const psql = startPsql('-v', 'ON_ERROR_STOP=1');
    psql.type('DROP TABLE new_orders;');
    psql.type("SELECT 'after' || 'wards';");
    const hold = await ground.approvals.next('new_orders');
    const deny = await holdsCommand(ground.holdfast, 'lee', ['deny', hold.id, '--reason', 'wrong table']);
    expect(deny).toEqual({ status: 0, stdout: `hold ${hold.id}: denied; it will not run\n`, stderr: '' });
    expect(await psql.ended()).toBe(3);
    expect(psql.screen()).toMatch(/ERROR: {2}holdfast: [^]*lee[^]*wrong table/);
    expect(psql.screen()).not.toContain('afterwards');
    expect(await ground.rows("SELECT to_regclass('new_orders') IS NULL")).toBe('false');
  });

  test('Ctrl-C takes it back, by the request that libpq sends', async () => {
    await ground.table('fine_orders');
    const psql = startPsql('-c', 'DROP TABLE fine_orders');
    const hold = await ground.approvals.next('fine_orders');
    await psql.printed(hold.id);
    psql.interrupt();
    await ground.approvals.entered(hold.id, 'withdrawn');
    expect(await psql.ended()).toBe(1);
    expect(psql.screen()).toContain('Cancel request sent\nERROR:  canceling statement due to user request\n');
    expect(await ground.rows("SELECT to_regclass('fine_orders') IS NULL")).toBe('false');
  });

  test('\\copy waits before it sends anything', async () => {
    const psql = startPsql();
    psql.type('\\copy guarded (id, v) FROM pstdin');
    psql.type('1\tone');
    psql.type('2\ttwo');
    psql.type('\\.');
    const hold = await ground.approvals.next('COPY');
    await ground.approvals.approve(hold.id);
    expect(await psql.ended()).toBe(0);
    expect(psql.screen()).toContain('COPY 2');
    expect(await ground.rows('SELECT id, v FROM guarded ORDER BY id')).toBe('1,one 2,two');
  });
});
