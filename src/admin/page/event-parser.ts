/** Server-sent events from text to messages; what is none of them, a sign of life or a kind of event that is not known here, is nothing. */
import type { BudgetList, HoldChange, HoldList } from './wire.js';

export type Message =
  | { readonly event: 'open'; readonly data: HoldList }
  | { readonly event: 'hold'; readonly data: HoldChange }
  | { readonly event: 'budgets'; readonly data: BudgetList };

/** Blocks of server-sent events, in whatever pieces they come. */
export function createEventParser(): (text: string) => Message[] {
  let rest = '';
  return (text) => {
    const blocks = (rest + text).split('\n\n');
    rest = blocks.pop() ?? '';
    return blocks.flatMap(parse);
  };
}

function parse(block: string): Message[] {
  const field = (name: string): string | null =>
    block
      .split('\n')
      .find((line) => line.startsWith(`${name}: `))
      ?.slice(name.length + 2) ?? null;
  const event = field('event');
  const data = field('data');
  if (data === null || (event !== 'open' && event !== 'hold' && event !== 'budgets')) return [];
  return [{ event, data: JSON.parse(data) as never }];
}
