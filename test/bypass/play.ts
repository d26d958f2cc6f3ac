/** Transcripts against a real server: `> Query "…"` is sent, `< ReadyForQuery I` must come. */
import { expect } from 'vitest';
import { frontend } from '../session/messages.js';
import type { WireClient } from '../support/wire.js';

/**
 * Plays a transcript: lines that begin with `>` are sent together up to the next that
 * begins with `<`, and exactly what the `<` lines say must come back. ParameterStatus
 * is left out: it may come at any time.
 */
export async function play(client: WireClient, script: string): Promise<void> {
  const lines = script
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  for (let at = 0; at < lines.length;) {
    const sent = block(lines, at, '>');
    const expected = block(lines, at + sent.length, '<');
    at += sent.length + expected.length;
    await client.send(Buffer.concat(sent.map((line) => frontend(line))));
    const ready = expected.filter((line) => line.startsWith('ReadyForQuery')).length;
    const received = await client.untilReady(ready);
    expect(
      received.filter((line) => !line.startsWith('ParameterStatus')),
      `after ${sent.join('; ')}${client.errors.length === 0 ? '' : `; the last error: ${client.errors.at(-1)?.message ?? ''}`}`,
    ).toEqual(expected);
  }
}

function block(lines: readonly string[], from: number, mark: '<' | '>'): readonly string[] {
  const found: string[] = [];
  for (let at = from; lines[at]?.startsWith(mark) === true; at++)
    found.push((lines[at] ?? '').slice(1).trim());
  if (found.length === 0)
    throw new Error(`line ${String(from + 1)} of a transcript does not begin with ${mark}`);
  return found;
}
