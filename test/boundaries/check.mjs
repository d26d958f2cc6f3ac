/**
 * Checks who imports whom under src (the rules: rules.mjs), and first proves that
 * the check can fail: the fixture breaks each rule once, and each must be found.
 */
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { cruise } from 'dependency-cruiser';
import { RULES } from './rules.mjs';

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..');
const FIXTURE = path.join(ROOT, 'test', 'boundaries', 'fixture');

async function violations(baseDir) {
  const { output } = await cruise(['src'], {
    baseDir,
    validate: true,
    ruleSet: { forbidden: RULES },
    doNotFollow: { path: 'node_modules' },
    // Type-only imports count: they too say who knows whom.
    tsPreCompilationDeps: true,
    combinedDependencies: true,
  });
  return output.summary;
}

const planted = await violations(FIXTURE);
const found = new Set(planted.violations.map((violation) => violation.rule.name));
const blind = RULES.map((rule) => rule.name).filter((name) => !found.has(name));
if (blind.length > 0) {
  console.error(
    `boundaries: the check is blind: in test/boundaries/fixture nothing was found for ${blind.join(', ')}`,
  );
  process.exit(1);
}

const real = await violations(ROOT);
for (const { rule, from, to, cycle } of real.violations) {
  const way = cycle === undefined ? to : cycle.map((step) => step.name ?? step).join(' → ');
  const comment = RULES.find((candidate) => candidate.name === rule.name)?.comment ?? '';
  console.error(`${from} → ${way}: ${rule.name} (${comment})`);
}
if (real.totalCruised === 0) {
  console.error('boundaries: no file was looked at');
  process.exit(1);
}
if (real.violations.length > 0) {
  console.error(`boundaries: ${real.violations.length} forbidden imports`);
  process.exit(1);
}
console.log(
  `boundaries: ${real.totalCruised} modules, ${real.totalDependenciesCruised} imports, none forbidden; ` +
    `the fixture's ${planted.violations.length} were all found`,
);
