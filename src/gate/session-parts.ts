/**
 * The parts of one session's gate, put together.
 *
 * Law: nothing is decided here; what each part does stands in its own file, and what may
 * pass in session-gate.ts.
 */
import type { SessionConstant } from '../audit/records.js';
import type { Login } from '../policy/types.js';
import type { UndoStore } from '../undo/store.js';
import { Aftermath } from './aftermath.js';
import { Approval } from './approval.js';
import type { CatalogStore, DatabaseCatalog } from './catalog-store.js';
import { CountingNeeds } from './counting-needs.js';
import type { HoldServices } from './held.js';
import type { RoleScope } from './judged-text.js';
import { Hearing } from './hearing.js';
import { LexerAgreement } from './lexer-agreement.js';
import { LiveRules } from './live-rules.js';
import type { LiveServices } from './live-rules.js';
import { Passage } from './passage.js';
import type { PolicyStore } from './policy-store.js';
import { Preparing } from './preparing.js';
import { Recorder } from './recorder.js';
import type { RecorderServices } from './recorder.js';
import { SessionHolds } from './session-holds.js';
import { SessionImpact } from './session-impact.js';
import { SessionUndo } from './session-undo.js';
import { SessionRole } from './session-role.js';
import { createSessionTarget } from './target.js';
import { TextReader } from './text-reader.js';
import type { ReaderServices } from './text-reader.js';
import { Waits } from './waits.js';
import type { GatedConnection } from './waits.js';

/** What all sessions' gates share. */
export interface GateServices extends ReaderServices, RecorderServices, LiveServices {
  readonly policies: PolicyStore;
  readonly catalogs: CatalogStore;
  readonly holds: HoldServices;
  readonly undo: UndoStore;
}

export interface GatedSession {
  readonly id: string;
  readonly login: Login;
  readonly constant: SessionConstant;
  readonly scope: RoleScope;
  /** The session is a replication connection, whose commands are not SQL. */
  readonly replication: boolean;
  /** default_transaction_read_only = on was set at login. */
  readonly backstop: boolean;
  /** What is known of the session's database. */
  readonly catalog: DatabaseCatalog;
}

/** What a session's gate is made of. */
export interface SessionParts {
  readonly waits: Waits;
  readonly role: SessionRole;
  readonly texts: TextReader;
  readonly recorder: Recorder;
  readonly lexer: LexerAgreement;
  readonly live: LiveRules;
  readonly passage: Passage;
  readonly holds: SessionHolds;
  readonly needs: CountingNeeds;
  readonly impact: SessionImpact;
  readonly approval: Approval;
  readonly aftermath: Aftermath;
  readonly hearing: Hearing;
  readonly preparing: Preparing;
}

export function createSessionParts(
  services: GateServices,
  session: GatedSession,
  connection: GatedConnection,
): SessionParts {
  const { clock, environment } = services;
  const { catalog, login } = session;
  const ready = (): void => {
    connection.ready();
  };
  const waits = new Waits(connection, catalog, services.recovery, session.backstop);
  const role = new SessionRole(services.policies, catalog, login, session.scope);
  const texts = new TextReader(services, role, session.replication, ready);
  const recorder = new Recorder(services, session.id, session.constant);
  const target = createSessionTarget();
  const lexer = new LexerAgreement();
  const live = new LiveRules(services, login.user, role);
  const passage = new Passage({
    environment,
    clock,
    user: login.user,
    role,
    texts,
    target,
    lexer,
    live,
  });
  const needs = new CountingNeeds(role);
  const undo = new SessionUndo({
    role,
    needs,
    store: services.undo,
    user: login.user,
    environment,
    database: login.database,
    now: () => new Date(services.holds.now()).toISOString(),
    ready,
  });
  const impact = new SessionImpact({
    role,
    needs,
    recorder,
    clock,
    user: login.user,
    environment,
    confirmed: () => passage.confirmed(),
    charge: (run, rows) => {
      live.changed(run, rows);
    },
    undo,
    standing: () => connection.transaction(),
  });
  const holds = new SessionHolds(services, { session, connection, role, passage, waits });
  const approval = new Approval({ holds, needs, impact, undo, connection });
  const aftermath = new Aftermath({ clock, catalog, target, live, recorder, holds, impact });
  const hearing = new Hearing({ waits, role, texts, recorder, live, passage, approval });
  const preparing = new Preparing({
    clock,
    hearing,
    waits,
    role,
    texts,
    recorder,
    passage,
    holds,
    needs,
  });
  return {
    waits,
    role,
    texts,
    recorder,
    lexer,
    live,
    passage,
    holds,
    needs,
    impact,
    approval,
    aftermath,
    hearing,
    preparing,
  };
}
