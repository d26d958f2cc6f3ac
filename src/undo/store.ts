/** Where undo documents are kept. */
import type { UndoDocument } from './document.js';

export interface UndoStore {
  /** Bytes that a document may take. */
  readonly limit: number;
  /**
   * Keeps a document; when this resolves, it survives a crash. Older ones may have to go for it.
   * @throws UndoError where it is larger than the limit; else why it could not be kept
   */
  save(document: UndoDocument): Promise<void>;
}
