/** Where undo documents are kept. */
import type { UndoDocument } from './document.js';

export interface UndoStore {
  /** Bytes that a document may take. */
  readonly limit: number;
  /**
   * Keeps a document; when this resolves, it survives a crash. Older ones may have to go for it.
   * @param text it, encoded (encoding.ts)
   * @throws when it could not be kept
   */
  save(document: UndoDocument, text: string): Promise<void>;
}
