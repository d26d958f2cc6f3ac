/** What clients read of statements whose effect was counted. */
import type { Refusal } from '../errors.js';
import type { Match } from '../policy/types.js';
import type { Notice } from '../protocol/encode.js';
import type { Block } from './blocks.js';
import { INSUFFICIENT_PRIVILEGE } from './words.js';

/** What was counted is above a limit. */
export function impactRefusal(matches: readonly Match[], decisive: Match, decision: string): Refusal {
  return {
    severity: 'ERROR',
    sqlstate: INSUFFICIENT_PRIVILEGE,
    message: `holdfast: ${decisive.message} It was rolled back.`,
    detail: detail(matches, decisive, decision),
    ...(decisive.hint === null ? {} : { hint: decisive.hint }),
    routine: `holdfast/${decisive.rule}`,
  };
}

export function impactWarning(decisive: Match, decision: string): Notice {
  return {
    severity: 'WARNING',
    sqlstate: '01000',
    message: `holdfast: ${decisive.message}`,
    detail: detail([decisive], decisive, decision),
    ...(decisive.hint === null ? {} : { hint: decisive.hint }),
    routine: `holdfast/${decisive.rule}`,
  };
}

function detail(matches: readonly Match[], decisive: Match, decision: string): string {
  const rules = [...new Set(matches.map(({ rule, action }) => `${rule} (${action})`))].join(', ');
  return `${decisive.detail === undefined ? '' : `${decisive.detail} `}Decision ${decision}. Rule: ${rules}.`;
}

/** What a statement did could not be told. */
export function unmeasured(why: string, decision: string): Refusal {
  return {
    severity: 'ERROR',
    sqlstate: INSUFFICIENT_PRIVILEGE,
    message: 'holdfast: what this statement changes cannot be measured, so it was rolled back',
    detail: `The reason: ${why}. Decision ${decision}. Rule: row-limit.`,
    hint: 'If another session changed the schema at the same time, try again. Else ask for a role without row-limit.',
    routine: 'holdfast/row-limit',
  };
}

/** The server's own failure to count, where it is not the statement's or the session's own. */
export function notCounted(sqlstate: string, message: string): Refusal {
  return {
    severity: 'ERROR',
    sqlstate,
    message: `holdfast: what this statement changes cannot be measured, so it was rolled back: ${message}`,
    hint: 'Holdfast reads pg_catalog.pg_stat_get_xact_tuples_inserted, _updated and _deleted on this connection; the database user needs to be allowed to.',
    routine: 'holdfast/row-limit',
  };
}

const BLOCK_MESSAGE =
  'what this statement runs may commit by itself, before what it changes has been measured';
const BLOCK_HINT =
  'Run it within a transaction block: BEGIN; … COMMIT. There it may not commit by itself, and is measured as a whole.';

/** CALL and DO outside of a transaction block. */
export function needsBlock(): Block {
  const match: Match = {
    rule: 'row-limit',
    action: 'deny',
    message: BLOCK_MESSAGE,
    hint: BLOCK_HINT,
    offset: null,
  };
  return {
    refusal: (decision) => ({
      severity: 'ERROR',
      sqlstate: INSUFFICIENT_PRIVILEGE,
      message: `holdfast: ${BLOCK_MESSAGE}`,
      detail: `Decision ${decision}. Rule: row-limit (deny).`,
      hint: BLOCK_HINT,
      routine: 'holdfast/row-limit',
    }),
    match,
  };
}
