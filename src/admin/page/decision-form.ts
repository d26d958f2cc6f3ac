/**
 * A decision: a reason, a one-time code where one is needed, and a second look.
 *
 * Law: no single press decides. The second look repeats what would happen; its button
 * is dead for a moment and is not where the first one was, so neither a double click
 * nor a held key gets through. Nothing can be sent while it cannot be decided.
 */
import { CallFailed } from './calls.js';
import type { Ballot } from './calls.js';
import { fill, h } from './dom.js';
import type { Session } from './wire.js';

export interface Choice<Name extends string> {
  readonly name: Name;
  /** Of its first button. */
  readonly words: string;
  /** Its colour. */
  readonly kind: 'approve' | 'deny';
}

export interface SecondLook {
  /** What is asked, for who does not see it. */
  readonly label: string;
  readonly content: HTMLElement;
  /** Of the button that counts. */
  readonly yes: string;
}

export interface DecisionFormOptions<Name extends string> {
  readonly session: Session;
  /** What it decides about, for who does not see it. */
  readonly label: string;
  readonly choices: readonly Choice<Name>[];
  /** What the second look shows now; null: there is nothing to decide about. */
  readonly look: (choice: Name) => SecondLook | null;
  /** Decides. @throws CallFailed with the words to show */
  readonly send: (choice: Name, ballot: Ballot) => Promise<void>;
  /** That a one-time code is missing. */
  readonly codeMissing: string;
  /** What is said where nobody answered: how one learns whether it counts. */
  readonly unanswered: string;
}

export interface DecisionForm {
  readonly element: HTMLElement;
  /** The second look is open, or what was decided there is under way. */
  readonly asking: () => boolean;
  /**
   * @param dead why nobody can decide here; null: one can
   * @param changed why who is at the second look must look again; null: nothing has changed
   */
  update(dead: string | null, changed: string | null): void;
}

/** How long the second look's button stays dead. */
const ARM_MS = 700;
const MOST_CHARACTERS = 500;

let forms = 0;

export function createDecisionForm<Name extends string>(options: DecisionFormOptions<Name>): DecisionForm {
  const { session, label, choices, look, send } = options;
  forms++;
  const own = `decision-${forms.toString()}`;
  let dead: string | null = null;
  let busy = false;
  let asked: Name | null = null;

  const reason = h('textarea', {
    id: `${own}-reason`,
    attributes: { rows: '2', maxlength: MOST_CHARACTERS.toString() },
  });
  const code = h('input', {
    id: `${own}-code`,
    class: 'code',
    attributes: {
      inputmode: 'numeric',
      autocomplete: 'one-time-code',
      maxlength: '6',
      pattern: '[0-9]{6}',
      placeholder: '123456',
    },
  });
  const buttons = new Map(
    choices.map((choice) => [
      choice.name,
      button(choice.words, choice.kind, () => {
        ask(choice);
      }),
    ]),
  );
  const problem = h('p', { class: 'problem', attributes: { role: 'alert' } });
  const why = h('p', { class: 'dead' });
  const confirm = h('div', {
    class: 'confirm',
    attributes: { role: 'group', tabindex: '-1', hidden: '' },
    on: {
      keydown: (event) => {
        if ((event as KeyboardEvent).key === 'Escape') back();
      },
    },
  });
  const first = h('div', { class: 'choices' }, [...buttons.values()]);
  const element = h(
    'form',
    {
      class: 'vote',
      attributes: { novalidate: '', 'aria-label': label },
      on: {
        submit: (event) => {
          event.preventDefault();
        },
      },
    },
    h(
      'div',
      { class: 'fields' },
      h(
        'div',
        { class: 'field grow' },
        h('label', { attributes: { for: reason.id } }, 'Reason', h('small', null, ' others will read it')),
        reason,
      ),
      session.totp
        ? h('div', { class: 'field' }, h('label', { attributes: { for: code.id } }, 'One-time code'), code)
        : null,
    ),
    problem,
    why,
    first,
    confirm,
  );

  function ask({ name, kind }: Choice<Name>): void {
    if (dead !== null || busy) return;
    problem.textContent = '';
    if (session.totp && !/^[0-9]{6}$/.test(code.value.trim())) {
      problem.textContent = options.codeMissing;
      code.focus();
      return;
    }
    const shown = look(name);
    if (shown === null) return;
    asked = name;
    const sure = button(shown.yes, kind, () => {
      void decide(name);
    });
    sure.disabled = true;
    setTimeout(() => {
      sure.disabled = dead !== null || busy;
    }, ARM_MS);
    fill(confirm, shown.content, h('div', { class: 'choices' }, button('Back', 'plain', back), sure));
    confirm.setAttribute('aria-label', shown.label);
    confirm.className = `confirm confirm-${kind}`;
    first.hidden = true;
    confirm.hidden = false;
    confirm.focus();
  }

  function close(): void {
    asked = null;
    confirm.hidden = true;
    first.hidden = false;
    fill(confirm);
  }

  function back(): void {
    const name = asked ?? choices[0]?.name;
    close();
    if (name !== undefined) buttons.get(name)?.focus();
  }

  async function decide(name: Name): Promise<void> {
    if (dead !== null || busy) return;
    busy = true;
    show();
    try {
      await send(name, { reason: reason.value.trim(), totp: session.totp ? code.value.trim() : '' });
    } catch (error) {
      problem.textContent = failureWords(error);
      if (!(error instanceof CallFailed)) throw error;
    } finally {
      busy = false;
      // Each code counts once.
      code.value = '';
      close();
      show();
    }
  }

  function failureWords(error: unknown): string {
    if (!(error instanceof CallFailed)) return 'The page failed; reload it.';
    return error.code === 'unreachable' ? `${error.message} ${options.unanswered}` : error.message;
  }

  function show(): void {
    why.textContent = dead ?? '';
    why.hidden = dead === null;
    for (const control of element.querySelectorAll('button')) control.disabled = dead !== null || busy;
  }

  return {
    element,
    asking: () => asked !== null,
    update(next, changed) {
      if (dead === next && changed === null) return;
      dead = next;
      if (asked !== null && !busy) {
        close();
        if (dead === null) problem.textContent = changed ?? '';
      }
      show();
    },
  };
}

function button(words: string, kind: string, press: () => void): HTMLButtonElement {
  return h(
    'button',
    { class: `button ${kind}`, attributes: { type: 'button' }, on: { click: press } },
    words,
  );
}
