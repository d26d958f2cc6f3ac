/**
 * The store of holds that the settings ask for, and what goes with it: the recorder
 * that listens to it first, and the clock that its deadlines go by.
 */
import { randomBytes } from 'node:crypto';
import type { AuditLog } from '../audit/writer.js';
import type { Settings } from '../config/settings.js';
import { REMIND_MS } from '../gate/held.js';
import type { HoldServices } from '../gate/held.js';
import { createHoldRecorder } from '../gate/hold-recorder.js';
import type { HoldRecorder } from '../gate/hold-recorder.js';
import { createShownTexts } from '../gate/hold-subject.js';
import { createReminders } from '../gate/reminders.js';
import { createBook } from '../holds/book.js';
import { HOLD_ID_BYTES, holdId } from '../holds/request.js';
import { HoldStoreUnavailable } from '../holds/store.js';
import type { HoldStore } from '../holds/store.js';
import { createUsedCodes } from '../holds/used-codes.js';
import type { UsedCodes } from '../holds/used-codes.js';
import type { Faults } from '../holds-postgres/faults.js';
import { openSharedHolds } from '../holds-postgres/store.js';
import type { SharedHolds } from '../holds-postgres/store.js';
import { createLocalBudgets } from '../impact/budgets.js';
import type { Budgets } from '../impact/budgets.js';
import type { Pace } from '../holds-postgres/upkeep.js';
import type { Logger } from '../log.js';
import type { Metrics } from '../metrics.js';

export interface Holds {
  readonly services: HoldServices;
  readonly recorder: HoldRecorder;
  readonly budgets: Budgets;
  /** One-time codes that have counted, in whatever process shares the store. */
  readonly usedCodes: UsedCodes;
  /** What is wrong with the store, in words; null: nothing. */
  readonly problem: string | null;
  /** Withdraws what waits in this process: whoever waits hears at once that nobody will decide any more. */
  drain(): Promise<void>;
  close(): Promise<void>;
}

export interface HoldsOptions {
  readonly settings: Settings['holds'];
  readonly audit: AuditLog;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly faults: Faults | undefined;
  readonly pace: Partial<Pace> | undefined;
}

/** What of a store is not the same for both. */
type Kept = HoldStore & Pick<SharedHolds, 'budgets' | 'usedCodes' | 'now' | 'problem' | 'drain' | 'close'>;

const OWNER_BYTES = 12;

/** @throws OperatorError when the store cannot be opened */
export async function openHolds(options: HoldsOptions): Promise<Holds> {
  const { audit, metrics, logger } = options;
  const onError = (error: unknown): void => {
    if (error instanceof HoldStoreUnavailable) {
      logger.warn({ uncertain: error.uncertain }, error.message);
    } else {
      logger.error({ err: error }, 'holds failed by a defect of Holdfast');
    }
  };
  const store = await openStore(options, onError);
  const recorder = createHoldRecorder({ store, audit, metrics });
  return {
    services: {
      store,
      durable: () => recorder.durable(),
      newId: () => holdId(randomBytes(HOLD_ID_BYTES)),
      now: () => store.now(),
      shownTexts: createShownTexts(),
      reminders: createReminders({ everyMs: REMIND_MS, now: steadyNow, setTimer }),
      onError,
    },
    recorder,
    budgets: store.budgets,
    usedCodes: store.usedCodes,
    get problem() {
      return store.problem;
    },
    drain: () => store.drain(),
    async close() {
      await store.close();
      recorder.stop();
    },
  };
}

async function openStore(
  { settings, metrics, logger, faults, pace }: HoldsOptions,
  onError: (error: unknown) => void,
): Promise<Kept> {
  const { store, url, schema } = settings;
  if (store === 'memory' || url === undefined) {
    const book = createBook({ now: steadyNow, setTimer, onListenerError: onError });
    const end = (): Promise<void> => {
      book.close();
      return Promise.resolve();
    };
    return {
      ...book,
      budgets: createLocalBudgets(steadyNow),
      usedCodes: createUsedCodes(),
      now: steadyNow,
      problem: null,
      drain: end,
      close: end,
    };
  }
  metrics.holdsStoreUp.set(1);
  return openSharedHolds({
    url,
    schema,
    owner: randomBytes(OWNER_BYTES).toString('hex'),
    now: steadyNow,
    setTimer,
    random: Math.random,
    onError,
    onProblem: (problem) => {
      metrics.holdsStoreUp.set(problem === null ? 1 : 0);
      if (problem === null) logger.info('the store of holds is back');
      else
        logger.error(
          { reason: problem },
          'the store of holds cannot be reached; what needs approval is refused',
        );
    },
    faults,
    pace: pace ?? {},
  });
}

/** Not set back when the system's clock is: a hold may keep locks while it waits. */
function steadyNow(): number {
  return performance.timeOrigin + performance.now();
}

function setTimer(callback: () => void, delayMs: number): () => void {
  const timer = setTimeout(callback, delayMs).unref();
  return () => {
    clearTimeout(timer);
  };
}
