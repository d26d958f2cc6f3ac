/**
 * `holdfast serve`: loads settings and policy, runs until told to stop. SIGHUP
 * reloads the policy, SIGTERM and SIGINT drain; a second one ends at once.
 */
import { loadPolicy } from '../config/policy-file.js';
import { loadSettings } from '../config/settings.js';
import { createLogger } from '../log.js';
import type { LogLevel } from '../log.js';
import { startHoldfast } from './holdfast.js';

/**
 * Resolves when Holdfast has shut down.
 * @throws OperatorError (ConfigError) for invalid settings or policy, and for what cannot be started
 */
export async function serve(options: {
  readonly settingsPath?: string;
  readonly logLevel?: LogLevel;
}): Promise<void> {
  const settings = await loadSettings(options.settingsPath, process.env);
  const policy = await loadPolicy(settings.policy, process.env);
  const logger = createLogger({ level: options.logLevel ?? 'info' });
  const holdfast = await startHoldfast({ settings, policy, logger });
  logger.info(
    {
      listen: `${settings.listen.host}:${holdfast.port}`,
      upstream: `${settings.upstream.host}:${settings.upstream.port}`,
      admin: `${settings.admin.host}:${holdfast.adminPort}`,
      environment: settings.environment,
      mode: policy.mode,
      policy: policy.sha256,
    },
    'holdfast is running',
  );
  const onHangUp = (): void => {
    void holdfast.reload();
  };
  process.on('SIGHUP', onHangUp);
  await new Promise<void>((resolve) => {
    const stop = (): void => {
      process.once('SIGTERM', exitNow);
      process.once('SIGINT', exitNow);
      resolve();
    };
    process.once('SIGTERM', stop);
    process.once('SIGINT', stop);
  });
  logger.info('draining: sessions end as they get idle');
  await holdfast.close();
  process.off('SIGHUP', onHangUp);
  logger.info('stopped');
}

function exitNow(): void {
  process.exit(1);
}
