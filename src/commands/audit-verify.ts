/**
 * `holdfast audit verify`: whether an audit log is as it was written.
 */
import { verifyAuditFiles } from '../audit/verify.js';
import type { ExitStatus, Terminal } from './terminal.js';

export async function auditVerifyCommand(files: readonly string[], terminal: Terminal): Promise<ExitStatus> {
  const { ok, problems, warnings, records, seals, lastSeal } = await verifyAuditFiles(files);
  for (const { file, line, message } of problems) terminal.complain(`${file}:${line}: ${message}`);
  for (const { file, line, message } of warnings) terminal.complain(`${file}:${line}: warning: ${message}`);
  const count = `${records} ${records === 1 ? 'record' : 'records'}, ${seals} ${seals === 1 ? 'seal' : 'seals'}`;
  await terminal.print(ok ? `ok: ${count}` : `not ok: ${count}, problems: ${problems.length}`);
  // Whoever keeps it elsewhere can tell later that the log was not cut off or written anew.
  if (ok && lastSeal !== null) await terminal.print(`last seal: ${lastSeal.sha256}`);
  return ok ? 0 : 1;
}
