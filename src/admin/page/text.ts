/** Strangers' text as elements: what visible.ts marks is marked, SQL has its colours and line numbers. */
import { h } from './dom.js';
import type { Child } from './dom.js';
import { tokens } from './sql-tokens.js';
import { pieces } from './visible.js';

/** One line of a client's text. */
export function shown(source: string): HTMLElement {
  return h('bdi', { class: 'shown' }, marked(source, false));
}

function marked(source: string, lines: boolean): Child[] {
  return pieces(source, lines).map(({ text, kind }): Child => {
    switch (kind) {
      case 'plain':
        return text;
      case 'foreign':
        return h('span', { class: 'foreign', title: numbers(text) }, text);
      case 'marker':
        return h('span', { class: 'marker', title: 'a character that cannot be seen' }, text);
    }
  });
}

function numbers(text: string): string {
  const first = Array.from(text).slice(0, 8);
  return first
    .map((character) => `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`)
    .join(' ');
}

/** A whole statement: every character of it, a numbered line each. */
export function statement(source: string): HTMLElement {
  let line = h('code', null);
  const list = h('ol', { class: 'sql' }, h('li', null, line));
  for (const { kind, text } of tokens(source)) {
    text.split('\n').forEach((part, index) => {
      if (index > 0) {
        line = h('code', null);
        list.append(h('li', null, line));
      }
      if (part === '') return;
      const children = marked(part, true);
      line.append(h('span', { class: `sql-${kind}` }, children));
    });
  }
  return list;
}

/** Text of several lines that is no SQL. */
export function paragraph(source: string): HTMLElement {
  return h('bdi', { class: 'shown lines' }, marked(source, true));
}
