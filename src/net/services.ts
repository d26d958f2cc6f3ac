/**
 * What all sessions of a running Holdfast share. State that spans sessions is
 * behind interfaces, never in module variables: one day it will span processes.
 */
import type { GateServices } from '../gate/session-parts.js';
import type { Logger } from '../log.js';
import type { CounterChild, Family, HistogramChild } from '../metrics.js';
import type { Role } from '../policy/types.js';
import type { Admission } from './admission.js';
import type { CancelRegistry } from './cancellation.js';
import type { UpstreamOptions } from './upstream.js';

/** What is known of the server, for a while. */
export interface ServerFacts {
  /** null: not known, or too old. */
  maxConnections(): number | null;
  setMaxConnections(value: number): void;
}

/** A session as those see it that end it. */
export interface LiveSession {
  /** Ends it as soon as it is idle, if Holdfast is draining. */
  drain(): void;
  /** Ends it now. */
  end(): void;
}

export interface SessionServices {
  readonly gate: GateServices;
  readonly upstream: UpstreamOptions;
  readonly admission: Admission;
  readonly cancels: CancelRegistry;
  readonly serverFacts: ServerFacts;
  readonly sessions: Set<LiveSession>;
  readonly log: Logger;
  readonly upstreamErrors: Family<['reason'], CounterChild>;
  readonly refusedSessions: Family<['reason'], CounterChild>;
  readonly auditRecords: Family<['kind'], CounterChild>;
  readonly catalogReads: Family<['result'], CounterChild>;
  readonly catalogReadSeconds: HistogramChild;
  /** Milliseconds that the server may take to show its catalogs. */
  readonly catalogTimeout: number;
  /** Milliseconds for a whole login. */
  readonly startupTimeout: number;
  /** Largest message, bytes. */
  readonly messageLimit: number;
  draining(): boolean;
  /** A session of this role has ended. */
  left(role: Role): void;
}
