/** What a statement did could not be told. `message`: completes "…, because". */
export class ImpactError extends Error {
  override readonly name = 'ImpactError';
}
