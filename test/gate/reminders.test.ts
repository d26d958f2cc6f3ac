import { expect, it } from 'vitest';
import { createReminders } from '../../src/gate/reminders.js';
import type { Reminded, Reminders } from '../../src/gate/reminders.js';
import { clock } from '../holds/support.js';
import type { Clock } from '../holds/support.js';

function make(): { reminders: Reminders; time: Clock; heard: string[]; who: (name: string) => Reminded } {
  const time = clock();
  const heard: string[] = [];
  const reminders = createReminders({
    everyMs: 30_000,
    now: () => time.now,
    setTimer: (callback, delayMs) => time.setTimer(callback, delayMs),
  });
  return { reminders, time, heard, who: (name) => ({ remind: () => heard.push(name) }) };
}

it('reminds everybody at their own time, again and again, by one timer', () => {
  const { reminders, time, heard, who } = make();
  reminders.add(who('a'));
  time.pass(10_000);
  reminders.add(who('b'));
  expect(time.timers).toBe(1);
  time.pass(19_999);
  expect(heard).toEqual([]);
  time.pass(1);
  expect(heard).toEqual(['a']);
  time.pass(10_000);
  expect(heard).toEqual(['a', 'b']);
  time.pass(30_000);
  expect(heard).toEqual(['a', 'b', 'a', 'b']);
  expect(time.timers).toBe(1);
});

it('does not remind whoever has left, and keeps no timer for nobody', () => {
  const { reminders, time, heard, who } = make();
  const [a, b] = [who('a'), who('b')];
  reminders.add(a);
  reminders.add(b);
  reminders.remove(a);
  reminders.remove(a);
  time.pass(30_000);
  expect(heard).toEqual(['b']);
  reminders.remove(b);
  expect(time.timers).toBe(0);
  time.pass(60_000);
  expect(heard).toEqual(['b']);
});

it('whoever leaves by the word of another that is due at the same time is not reminded', () => {
  const { reminders, time, heard, who } = make();
  const late = who('late');
  reminders.add({
    remind: () => {
      heard.push('first');
      reminders.remove(late);
    },
  });
  reminders.add(late);
  time.pass(30_000);
  expect(heard).toEqual(['first']);
});

it('added again, it is reminded once, and its time begins anew', () => {
  const { reminders, time, heard, who } = make();
  const a = who('a');
  reminders.add(a);
  time.pass(20_000);
  reminders.add(a);
  time.pass(10_000);
  expect(heard).toEqual([]);
  time.pass(20_000);
  expect(heard).toEqual(['a']);
});

it('a timer that comes early counts as come', () => {
  const heard: string[] = [];
  const fire: (() => void)[] = [];
  const reminders = createReminders({
    everyMs: 30_000,
    now: () => 0,
    setTimer: (callback, delayMs) => {
      expect(delayMs).toBe(30_000);
      fire.push(callback);
      return () => undefined;
    },
  });
  reminders.add({ remind: () => heard.push('a') });
  fire.pop()?.();
  expect(heard).toEqual(['a']);
  expect(fire).toHaveLength(1);
});

it('a thousand that are due at one moment are reminded in turns, each once', () => {
  const { reminders, time, heard, who } = make();
  for (let each = 0; each < 1000; each++) reminders.add(who(each.toString()));
  time.pass(30_000);
  expect(heard).toHaveLength(50);
  time.pass(1);
  expect(heard).toHaveLength(100);
  time.pass(1_000);
  expect(heard).toHaveLength(1000);
  expect(new Set(heard).size).toBe(1000);
});
